import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, startScenes } from "./rows/scene.ts";
import { served } from "./rows/served.ts";

describe.skipIf(envoyBinary === undefined)("a real Envoy with a route to the server's own port", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    const virtualHosts = ({ extProc }: { readonly extProc: string }) => [
      { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: extProc } }] },
    ];
    scenes = await startScenes(new Map([["route", { server: served(hello), virtualHosts }]]));
  }, 30_000);

  afterAll(() => scenes?.stop());

  test.each([
    ["an unknown service", "/no.such.Service/Method", { status: 200, headers: { "grpc-status": "12" } }],
    [
      "an unknown method of the service that Envoy calls",
      "/envoy.service.ext_proc.v3.ExternalProcessor/NoSuchMethod",
      { status: 200, headers: { "grpc-status": "12" } },
    ],
  ])("Envoy gets UNIMPLEMENTED for %s while the request is open", async (_what, path, expected) => {
    const open = scenes.scenes
      .get("route")
      ?.open({ method: "POST", path, headers: { "content-type": "application/grpc" } });
    open?.write("\0\0\0\0\0");
    expect(await open?.outcome).toMatchObject(expected);
    open?.abort();
  });

  test("Envoy gets 404 for an unknown path that is not gRPC while the request is open", async () => {
    const open = scenes.scenes.get("route")?.open({ method: "POST", path: "/no/such/path" });
    open?.write("piece");
    expect((await open?.outcome)?.status).toBe(404);
    open?.abort();
  });
});
