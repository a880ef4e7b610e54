import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { checkSettings } from "../simulation/check-settings.ts";
import { driveTransaction } from "../simulation/drive-transaction.ts";
import { checkProperties } from "../simulation/known-properties.ts";
import { serverUrl } from "../simulation/server-url.ts";
import { ENVOY_OPTIONS, type EnvoyOptions } from "../simulation/simulate-options.ts";
import { type SimulatedEnvoy, simulatedEnvoy } from "../simulation/simulated-envoy.ts";
import { simulatedTransaction } from "../simulation/simulated-transaction.ts";
import { RemoteServer, UNREACHABLE } from "./remote-server.ts";

/**
 * A simulated Envoy that calls any ext_proc server over gRPC. It connects at the first request; `close` ends the
 * connection. It waits for each answer of the server `patienceMs` of real time at most.
 *
 * @param target `HOST:PORT` without TLS, or a URL with `http:` or `https:`.
 * @example
 * ```ts
 * const envoy = simulateRemote("127.0.0.1:9002");
 * const { request } = await envoy.get("/");
 * await envoy.close();
 * ```
 * @throws {TypeError} If the target is not a server, or if an option is unknown or has an invalid value.
 */
export function simulateRemote(target: string, options: EnvoyOptions = {}): SimulatedEnvoy {
  const baseUrl = targetUrl(target);
  checkProperties("options", options, ENVOY_OPTIONS);
  checkSettings(options.envoy ?? {});
  let connection: ReturnType<typeof connect> | undefined;
  return simulatedEnvoy(options, {
    async drive(transaction) {
      connection ??= connect(baseUrl);
      const { client, readStatus, isReachable } = await connection;
      const server = (await isReachable()) ? new RemoteServer(client, readStatus) : UNREACHABLE;
      return simulatedTransaction(await driveTransaction(server, transaction), { faults: [] });
    },
    async close() {
      const connected = await connection;
      connection = undefined;
      connected?.close();
    },
  });
}

function targetUrl(target: string): string {
  const url = serverUrl(target);
  if (url !== undefined) return url;
  throw new TypeError(`simulateRemote: ${JSON.stringify(target)} is not a server; write "127.0.0.1:9002" or a URL`);
}

/** Connects to the server. It loads gRPC's code now, so that other tests do not load it. */
async function connect(baseUrl: string) {
  const [{ ConnectError, createClient }, { createGrpcTransport, Http2SessionManager }] = await Promise.all([
    import("@connectrpc/connect"),
    import("@connectrpc/connect-node"),
  ]);
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(ExternalProcessor, createGrpcTransport({ baseUrl, sessionManager }));
  return {
    client,
    readStatus: (error: unknown) =>
      error instanceof ConnectError ? { code: error.code, message: error.rawMessage } : undefined,
    isReachable: async () => (await sessionManager.connect()) !== "error",
    close: () => sessionManager.abort(),
  };
}
