import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { inject } from "vitest";
import { envoyBootstrap, type JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import type { Processor } from "../../src/processor/definition.ts";
import { type ServeOptions, type Server, serve } from "../../src/server/serve.ts";
import { type EchoUpstream, startEchoUpstream } from "./echo-upstream.ts";

/** Path of the real Envoy; tests that need it skip if it is undefined, which CI does not allow. */
export const envoyBinary = inject("envoyBinary");

/** A processor behind a real Envoy, in front of an echo. */
export interface EnvoyRig {
  readonly envoy: EnvoyProcess;
  readonly server: Server;
  readonly upstream: EchoUpstream;
  /** What the server logged, one JSON object a line. */
  readonly logLines: readonly object[];
  /** Sends one HTTP/1.1 request through Envoy. */
  send(request: RigRequest): Promise<RigResponse>;
  /** Envoy's counters of the ext_proc filter. */
  counters(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

export interface RigRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly chunks?: readonly Uint8Array[];
  readonly trailers?: Readonly<Record<string, string>>;
}

export interface RigResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: NodeJS.Dict<string>;
}

/** Starts the three of them on free ports. `filter` is merged into the filter's configuration, `options` into serve's. */
export async function startEnvoyRig(
  processor: Processor,
  filter: JsonObject = {},
  debug: "on" | "admin" = "admin",
  options: ServeOptions = {},
): Promise<EnvoyRig> {
  if (envoyBinary === undefined) throw new Error("there is no Envoy: skip this test with test.skipIf");
  const upstream = await startEchoUpstream();
  const logLines: object[] = [];
  const keep = (level: string) => (fields: object, msg: string) => logLines.push({ level, ...fields, msg });
  const log = { info: keep("info"), warn: keep("warn"), error: keep("error") };
  const listen = { listen: "127.0.0.1:0", statusListen: "127.0.0.1:0", adminListen: "off" };
  const server = await serve(processor, { ...listen, debug, log, ...options });
  const bootstrap = envoyBootstrap({
    extProcPort: Number(server.address.split(":").at(-1)),
    upstreamPort: upstream.port,
    http1Trailers: true,
    // A shared machine can stall longer than Envoy's 200 ms, which is not what these tests are about.
    filter: { message_timeout: "5s", ...filter },
  });
  const envoy = await startEnvoy({ binary: envoyBinary, bootstrap });
  return {
    envoy,
    server,
    upstream,
    logLines,
    send: (request) => sendThrough(envoy.port, request),
    counters: () => envoy.stats("http.ingress_http.ext_proc."),
    async stop() {
      await envoy.stop();
      await server.close();
      await upstream.close();
    },
  };
}

/** The counters that stay at zero while a server answers correctly. */
export function misbehaviour(counters: Record<string, number>): Record<string, number | undefined> {
  const { spurious_msgs_received, streams_failed, rejected_header_mutations, message_timeouts } = counters;
  return { spurious_msgs_received, streams_failed, rejected_header_mutations, message_timeouts };
}

/** {@link misbehaviour} of a server without any. */
export const NO_MISBEHAVIOUR = {
  spurious_msgs_received: 0,
  streams_failed: 0,
  rejected_header_mutations: 0,
  message_timeouts: 0,
};

function sendThrough(
  port: number,
  { method = "GET", path = "/", headers = {}, chunks, trailers }: RigRequest,
): Promise<RigResponse> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: "127.0.0.1",
      port,
      method,
      path,
      headers: headers as NodeJS.Dict<string | string[]>,
      agent: false,
    });
    request.on("error", reject);
    request.on("response", (response) => {
      const body: Buffer[] = [];
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => body.push(chunk));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(body),
          trailers: response.trailers,
        }),
      );
    });
    for (const chunk of chunks ?? []) request.write(chunk);
    if (trailers) request.addTrailers({ ...trailers });
    request.end();
  });
}
