import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envoyBootstrap } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { HeaderMap } from "../../src/simulator/http/header-map.ts";
import { SINGLE_SLOT } from "../../src/simulator/http/single-slot.ts";
import { startServer } from "../server/start-server.ts";
import { envoyBinary } from "./envoy-rig.ts";

/** Names that no Envoy keeps a slot for, or in the other direction only. */
const OTHERS = [
  "accept-language",
  "cookie",
  "forwarded",
  "grpc-encoding",
  "proxy-authorization",
  "range",
  "set-cookie",
];
const NAMES = [...SINGLE_SLOT.request, ...SINGLE_SLOT.response, ...OTHERS, "traceparent", "x-api-key", "x-custom"];
/** Envoy takes these off, refuses the request for them, or writes them itself. */
const UNTESTABLE = /^(?:connection|content-length|keep-alive|proxy-connection|te|transfer-encoding|upgrade)$/;
const names = [...new Set(NAMES)].filter((name) => !UNTESTABLE.test(name)).sort();

describe.skipIf(envoyBinary === undefined)("a header that comes twice", () => {
  const stops: (() => Promise<void>)[] = [];
  let envoy: EnvoyProcess;
  /** What the processor saw of the header in question. */
  let seen: { request: readonly string[]; response: readonly string[] | undefined };

  beforeAll(async () => {
    const upstream = await startTwice();
    const look = defineProcessor({
      name: "look",
      requestHeaders(_headers, tx) {
        const name = tx.request.get("x-name") ?? "";
        seen = { request: tx.request.all(name), response: undefined };
      },
      responseHeaders(_headers, tx) {
        seen = { ...seen, response: tx.response?.all(tx.request.get("x-name") ?? "") };
      },
    });
    const { server, port } = await startServer(look, { adminListen: "off", statusListen: "off" });
    const upstreamPort = (upstream.address() as { port: number }).port;
    const bootstrap = envoyBootstrap({ extProcPort: port, upstreamPort, filter: { message_timeout: "5s" } });
    envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
    stops.push(
      async () => void upstream.close(),
      () => server.close(),
      () => envoy.stop(),
    );
  });
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  test.each(names)("the header %s that comes twice is one line or two, as in the simulator", async (name) => {
    await sendTwice(envoy.port, name);
    expect(seen).toEqual({ request: simulated("request", name), response: simulated("response", name) });
  });
});

/** What two lines of it become in the simulator. */
function simulated(kind: "request" | "response", name: string): string[] {
  const map = new HeaderMap(kind, [
    [name, "1"],
    [name, "2"],
  ]);
  return map.entries.map(([, value]) => new TextDecoder().decode(value));
}

/** Sends a request with two lines of a header, and waits for the end of the response. */
function sendTwice(port: number, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", reject).on("close", () => resolve());
    socket.resume();
    const lines = ["GET / HTTP/1.1", "host: a", "connection: close", `x-name: ${name}`, `${name}: 1`, `${name}: 2`];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}

/** An upstream that answers with two lines of the header that `x-name` names. */
async function startTwice(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (data) => {
      const [, name = ""] = /^x-name: (.*)\r$/m.exec(data.toString()) ?? [];
      const lines = ["HTTP/1.1 200 OK", "content-length: 0", "connection: close", `${name}: 1`, `${name}: 2`];
      socket.end(`${lines.join("\r\n")}\r\n\r\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
