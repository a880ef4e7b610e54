import { afterEach, describe, expect, test } from "vitest";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import type { Script } from "../scenarios/script.ts";
import { type EchoUpstream, startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { bootstrapWithCluster } from "./ext-proc-cluster.ts";
import { type ScriptedServer, startScriptedServer } from "./scripted.ts";

let stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function startRig(script: Script, filter = {}): Promise<[EnvoyProcess, ScriptedServer, EchoUpstream]> {
  const server = await startScriptedServer(script);
  const upstream = await startEchoUpstream();
  const bootstrap = bootstrapWithCluster({ ports: [server.port], upstreamPort: upstream.port, filter });
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
  stops = [server.close, upstream.close, envoy.stop];
  return [envoy, server, upstream];
}

describe.skipIf(envoyBinary === undefined)("the scripted server behind a real Envoy", () => {
  test("the scripted server runs a script and keeps what Envoy sent", async () => {
    const setHeaders = [{ header: { key: "x-new", rawValue: "1" } }];
    const script: Script = {
      rules: [
        { on: "requestHeaders", do: [{ send: { requestHeaders: { response: { headerMutation: { setHeaders } } } } }] },
      ],
    };
    const [envoy, server, upstream] = await startRig(script);
    const answer = await fetch(`http://127.0.0.1:${envoy.port}/hello`);
    await answer.text();
    const call = await server.call(0);
    await call.ended;
    expect(answer.status).toBe(200);
    expect(upstream.seen[0]?.headers).toMatchObject({ "x-new": "1" });
    expect(call.kinds).toEqual(["requestHeaders", "responseHeaders"]);
    expect(call.received[0]?.protocolConfig).toBeDefined();
    expect(call.metadata[":path"]).toBe("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    expect(call.sent).toHaveLength(2);
    expect(call.resetCode).toBe(envoy.version.startsWith("1.36.") ? 0 : 2);
  });

  test("the scripted server echoes bodies as FULL_DUPLEX_STREAMED demands", async () => {
    const [envoy, server, upstream] = await startRig(
      {},
      {
        processing_mode: {
          request_body_mode: "FULL_DUPLEX_STREAMED",
          request_trailer_mode: "SEND",
          response_body_mode: "FULL_DUPLEX_STREAMED",
          response_trailer_mode: "SEND",
        },
      },
    );
    const answer = await fetch(`http://127.0.0.1:${envoy.port}/`, { method: "POST", body: "a".repeat(1000) });
    expect(await answer.text()).toBe("a".repeat(1000));
    expect(upstream.seen[0]?.body.toString()).toBe("a".repeat(1000));
    expect((await server.call(0)).kinds).toContain("responseBody");
  });

  test.each([
    ["a gRPC status", { end: 13 }, 500],
    ["a reset", { reset: 8 }, 500],
    ["an HTTP status", { httpStatus: 500 }, 500],
    ["an end with OK", { end: 0 }, 200],
    ["an end without a status", { halfClose: true }, 500],
    ["bytes that are not a message", { sendBytes: { hex: "ffffff" } }, 500],
    ["a lost connection", { disconnect: true }, 500],
  ] as const)("an end of the stream by %s reaches Envoy", async (_name, action, status) => {
    const [envoy, server] = await startRig({ rules: [{ on: "requestHeaders", do: [action] }] });
    const answer = await fetch(`http://127.0.0.1:${envoy.port}/`);
    await answer.text();
    await (await server.call(0)).ended;
    expect(answer.status).toBe(status);
  });
});
