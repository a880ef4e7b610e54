import { type DescMethod, type DescService, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  makeClientConstructor,
  type ServiceDefinition,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ProcessingRequest, ProcessingResponse } from "../../src/index.ts";

type Unary = (request: unknown, done: (error: ServiceError | null, answer: unknown) => void) => void;
type ServerStream = (request: unknown) => ClientReadableStream<unknown>;
type Bidi = () => ClientDuplexStream<ProcessingRequest, ProcessingResponse>;

/** A client of @grpc/grpc-js; its methods carry the names of the service definition. */
export interface GrpcJsClient {
  readonly unary: (method: string, request: unknown) => Promise<unknown>;
  readonly serverStream: (method: string, request: unknown) => ClientReadableStream<unknown>;
  readonly process: Bidi;
}

/** Connects to a service; the connection is closed when the test is over. */
export function grpcJsClient(service: DescService, target: number | string): GrpcJsClient {
  const Client = makeClientConstructor(definitionOf(service), service.typeName);
  const address = typeof target === "number" ? `127.0.0.1:${target}` : target;
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  onTestFinished(() => client.close());
  const method = <T>(name: string) => (client[name] as (...args: never[]) => unknown).bind(client) as T;
  return {
    unary: (name, request) =>
      new Promise((resolve, reject) => {
        method<Unary>(name)(request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
      }),
    serverStream: (name, request) => method<ServerStream>(name)(request),
    process: () => method<Bidi>("process")(),
  };
}

/** A Process call of grpc-js, message by message. */
export interface ProcessCall {
  send(...messages: readonly ProcessingRequest[]): void;
  /** The next answer; undefined at the end of the stream. */
  next(): Promise<ProcessingResponse | undefined>;
  end(): void;
  readonly status: Promise<StatusObject>;
}

export function openProcess(target: number | string): ProcessCall {
  const call = grpcJsClient(ExternalProcessor, target).process();
  const status = new Promise<StatusObject>((resolve) => call.once("status", resolve));
  call.on("error", () => undefined);
  const answers = call.iterator();
  return {
    send(...messages) {
      for (const message of messages) call.write(message);
    },
    async next() {
      const answer = await answers.next().catch(() => ({ done: true, value: undefined }) as const);
      return answer.done === true ? undefined : (answer.value as ProcessingResponse);
    },
    end: () => call.end(),
    status,
  };
}

/** Sends messages, half-closes, and collects what comes. */
export async function processAll(
  target: number | string,
  messages: readonly ProcessingRequest[],
): Promise<{ readonly answers: readonly ProcessingResponse[]; readonly status: StatusObject }> {
  const call = openProcess(target);
  call.send(...messages);
  call.end();
  const answers: ProcessingResponse[] = [];
  for (let answer = await call.next(); answer !== undefined; answer = await call.next()) answers.push(answer);
  return { answers, status: await call.status };
}

function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method)]));
}

function methodDefinition({ input, output, methodKind, name, parent }: DescMethod): ServiceDefinition[string] {
  return {
    path: `/${parent.typeName}/${name}`,
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message: Message) => Buffer.from(toBinary(input, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
    responseSerialize: (message: Message) => Buffer.from(toBinary(output, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  };
}
