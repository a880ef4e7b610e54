import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { bootstrapWithCluster } from "./ext-proc-cluster.ts";
import { startScriptedServer } from "./scripted.ts";

let stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

describe.skipIf(envoyBinary === undefined)("an answer that ends Envoy", () => {
  test("an answer to a BUFFERED_PARTIAL body that clears the route cache for a path without a route ends Envoy", async () => {
    const headerMutation = { setHeaders: [{ header: { key: ":path", rawValue: "no route" } }] };
    const answer = { requestBody: { response: { headerMutation, clearRouteCache: true } } };
    const server = await startScriptedServer({ rules: [{ on: "requestBody", do: [{ send: answer }] }] });
    const upstream = await startEchoUpstream();
    const filter = { processing_mode: { request_body_mode: "BUFFERED_PARTIAL" } };
    const bootstrap = bootstrapWithCluster({ ports: [server.port], upstreamPort: upstream.port, filter });
    const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
    stops = [server.close, upstream.close, envoy.stop];
    const request = httpRequest({ port: envoy.port, host: "127.0.0.1", method: "POST" });
    const failed = once(request, "error");
    request.flushHeaders();
    // A body that is there before the answer to its headers is taken as BUFFERED would.
    await expect.poll(() => envoy.stats("http.ingress_http.ext_proc.")).toMatchObject({ stream_msgs_received: 1 });
    request.end("body");
    await failed;
    expect(await envoy.ended).toMatch(/SIGSEGV|exit code/);
    expect(envoy.log()).toContain("Segmentation fault");
  });
});
