import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { appendChunk, defineProcessor, type Processor, replaceText } from "../../src/index.ts";
import type { DeclaredEnvoySettings } from "../../src/protocol/envoy-settings.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { isSince } from "./rows/envoy-release.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { type ServedScene, served } from "./rows/served.ts";

const LONGER = "replaced by something longer";
const both = <T>(handler: T) => ({ requestBody: handler, responseBody: handler }) as never as object;
const processor = (handlers: object): Processor => defineProcessor({ name: "p", ...handlers });

const HANDLERS: Readonly<Record<string, { readonly processor: Processor; readonly expected: string }>> = {
  text: { processor: processor(both({ read: "text", handle: () => replaceText(LONGER) })), expected: LONGER },
  shorter: { processor: processor(both({ read: "text", handle: () => replaceText("x") })), expected: "x" },
  chunks: {
    processor: processor(both({ read: "chunks", chunk: () => undefined, end: () => appendChunk("!!") })),
    expected: "upstream!!",
  },
};
const MODES = ["STREAMED", "FULL_DUPLEX_STREAMED", "BUFFERED_PARTIAL", "BUFFERED"] as const;
const CASES = MODES.flatMap((mode) => Object.keys(HANDLERS).map((kind) => [mode, kind] as const)).filter(
  ([mode, kind]) => !(kind === "chunks" && mode === "BUFFERED"),
);

const trailersOf = (mode: string) => (mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP");
const filterOf = (mode: string, more: JsonObject = {}): JsonObject => ({
  allow_content_length_header: true,
  processing_mode: {
    request_body_mode: mode,
    response_body_mode: mode,
    request_trailer_mode: trailersOf(mode),
    response_trailer_mode: trailersOf(mode),
  },
  ...more,
});

describe.skipIf(envoyBinary === undefined || !isSince("1.38"))("under allow_content_length_header", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    const inits = CASES.flatMap(([mode, kind]): [string, SceneInit][] => {
      const { processor: played } = HANDLERS[kind] ?? {};
      if (played === undefined) return [];
      const respond: SceneInit["respond"] = (response) => {
        response.setHeader("content-length", "8");
        response.end("upstream");
      };
      const trailers: DeclaredEnvoySettings =
        mode === "FULL_DUPLEX_STREAMED"
          ? { processingMode: { requestTrailerMode: "SEND", responseTrailerMode: "SEND" } }
          : {};
      const common = { respond };
      return [
        [`${mode}_${kind}`, { ...common, server: served(played, { envoy: trailers }), filter: filterOf(mode) }],
        [
          `${mode}_${kind}_protected`,
          {
            ...common,
            server: served(played, {
              envoy: { ...trailers, allowContentLengthHeader: true, mutationRules: { disallowAll: true } },
            }),
            filter: filterOf(mode, { mutation_rules: { disallow_all: true } }),
          },
        ],
      ];
    });
    const { processor: longer } = HANDLERS.chunks ?? {};
    const undeclared = {
      processingMode: { requestTrailerMode: "SEND", responseTrailerMode: "SEND" },
      mutationRules: { disallowAll: true },
    } as const;
    if (longer !== undefined)
      inits.push([
        "undeclared",
        {
          server: served(longer, { envoy: undeclared }),
          filter: filterOf("FULL_DUPLEX_STREAMED", { mutation_rules: { disallow_all: true } }),
        },
      ]);
    scenes = await startScenes(new Map(inits));
  }, 30_000);

  afterAll(() => scenes?.stop());

  function sceneOf(name: string): Scene {
    const scene = scenes.scenes.get(name);
    if (scene === undefined) throw new Error(`${name} did not start`);
    return scene;
  }

  test.each(CASES)("a body in %s that a handler changes, %s, is whole", async (mode, kind) => {
    const scene = sceneOf(`${mode}_${kind}`);
    const outcome = await scene.send({ method: "POST", body: "upstream" });
    const { expected } = HANDLERS[kind] ?? {};
    expect(outcome).toMatchObject({ status: 200, body: expected, complete: true });
    expect(scene.upstream.map(({ body, end }) => [body, end])).toEqual([[expected, "complete"]]);
    expect((scene.server as ServedScene).logLines().flatMap((line) => line.fault ?? [])).toEqual([]);
  });

  test.each(CASES)(
    "a body in %s that a handler changes, %s, is a fault that names the rule if content-length is protected",
    async (mode, kind) => {
      const scene = sceneOf(`${mode}_${kind}_protected`);
      const outcome = await scene.send({ method: "POST", body: "upstream" });
      expect(outcome).toMatchObject({ status: 500, complete: true });
      expect(scene.upstream).toEqual([]);
      const faults = (scene.server as ServedScene).logLines().filter((line) => line.fault !== undefined);
      expect(faults.map((line) => line.fault)).toEqual(["mutation_not_allowed"]);
      expect(JSON.stringify(faults)).toContain("content-length");
    },
  );

  test("a longer FULL_DUPLEX_STREAMED body is cut if content-length is protected and the setting is not declared", async () => {
    const scene = sceneOf("undeclared");
    await scene.send({ method: "POST", body: "upstream" });
    expect(scene.upstream[0]).toMatchObject({ body: "upstream", headers: { "content-length": "8" } });
  });
});
