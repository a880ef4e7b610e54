import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
} from "../../gen/grpc/health/v1/health_pb.js";
import { PROCESS_PATH } from "../network/raw-grpc.ts";
import type { Certificate } from "./certificates.ts";

/** Asks for the health of a server over gRPC and TLS, by grpc-js; rejects with grpc-js's error. */
export function checkHealth(port: number, server: Certificate, own?: Certificate): Promise<HealthCheckResponse> {
  const client = secureClient(port, server, own);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (request: Uint8Array) => Buffer.from(request),
      (bytes) => fromBinary(HealthCheckResponseSchema, bytes),
      toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema)),
      (error: ServiceError | null, answer?: HealthCheckResponse) =>
        error === null ? resolve(answer as HealthCheckResponse) : reject(error),
    );
  });
}

/** A whole Process call over gRPC and TLS, by grpc-js. */
export async function processOverTls(
  port: number,
  server: Certificate,
  messages: readonly ProcessingRequest[],
): Promise<ProcessingResponse[]> {
  const call = secureClient(port, server).makeBidiStreamRequest(
    PROCESS_PATH,
    (message: ProcessingRequest) => Buffer.from(toBinary(ProcessingRequestSchema, message)),
    (bytes) => fromBinary(ProcessingResponseSchema, bytes),
  );
  for (const message of messages) call.write(message);
  call.end();
  return (await call.toArray()) as ProcessingResponse[];
}

/** A handshake; rejects if the handshake fails. The connection is destroyed when the test is over. */
export async function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  onTestFinished(() => {
    socket.destroy();
  });
  const done = once(socket, "secureConnect");
  socket.on("error", () => undefined);
  await done;
  return socket;
}

function secureClient(port: number, server: Certificate, own?: Certificate): Client {
  const secure = credentials.createSsl(server.cert, own?.key, own?.cert);
  const client = new Client(`localhost:${port}`, secure, { "grpc.use_local_subchannel_pool": 1 });
  onTestFinished(() => client.close());
  return client;
}
