import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor, overrideMode, type Processor } from "../../../src/index.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { eventually } from "../rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "../rows/scene.ts";
import { countedBy, type ServedScene, served } from "../rows/served.ts";

const inspect = { read: "inspect", chunk: () => undefined } as const;
const PROCESSORS = {
  "wants both bodies": defineProcessor({ name: "p", requestBody: inspect, responseBody: inspect }),
  "wants both whole bodies": defineProcessor({
    name: "p",
    requestBody: { read: "whole", handle: () => undefined },
    responseBody: { read: "whole", handle: () => undefined },
  }),
  "wants no body": defineProcessor({
    name: "p",
    requestHeaders: () => overrideMode({ requestBody: "NONE" }),
    responseHeaders: () => overrideMode({ responseBody: "NONE" }),
  }),
} satisfies Record<string, Processor>;
const BODY = "x".repeat(1_000);

/** What is counted if Envoy ignores overrides; nothing is if it obeys them. */
const CASES: readonly (readonly [
  who: keyof typeof PROCESSORS,
  configured: "NONE" | "STREAMED" | "BUFFERED" | "BUFFERED_PARTIAL",
  counted: readonly string[],
])[] = [
  ["wants both bodies", "NONE", ["completed: 1", "override_ignored: 2"]],
  ["wants both whole bodies", "NONE", ["completed: 1", "override_ignored: 2"]],
  ["wants no body", "STREAMED", ["completed: 1", "override_ignored: 2"]],
  ["wants no body", "BUFFERED", ["completed: 1", "override_ignored: 2"]],
  ["wants no body", "BUFFERED_PARTIAL", ["completed: 1", "override_ignored: 2"]],
];

describe.skipIf(envoyBinary === undefined)("with allowModeOverride declared, behind a real Envoy", () => {
  let running: RunningScenes;
  const nameOf = (who: string, configured: string, allowed: boolean) =>
    `${who}-${configured}-${allowed ? "allowed" : "not-allowed"}`.replaceAll(" ", "-");

  beforeAll(async () => {
    const inits = new Map<string, SceneInit>();
    for (const [who, configured] of CASES)
      for (const allowed of [true, false])
        inits.set(nameOf(who, configured, allowed), {
          server: served(PROCESSORS[who], { envoy: { allowModeOverride: true } }),
          filter: {
            allow_mode_override: allowed,
            processing_mode: { request_body_mode: configured, response_body_mode: configured },
          },
          respond(response) {
            response.setHeader("content-length", String(BODY.length));
            response.end(BODY);
          },
        });
    running = await startScenes(inits);
  });

  afterAll(() => running?.stop());

  const play = async (name: string, counted: readonly string[]) => {
    const scene = running.scenes.get(name) as Scene<ServedScene> | undefined;
    if (scene === undefined) throw new Error(`there is no scene ${name}`);
    expect(await scene.send({ method: "POST", body: BODY })).toMatchObject({ status: 200, body: BODY });
    await eventually(async () => expect(await countedBy(scene)).toEqual(counted));
    return scene;
  };

  test.each(CASES)(
    "a filter without allow_mode_override is counted as override_ignored: %s, configured %s",
    async (who, configured, counted) => {
      await play(nameOf(who, configured, false), counted);
    },
  );

  test.each(CASES)("a filter that obeys overrides is not counted: %s, configured %s", async (who, configured) => {
    await play(nameOf(who, configured, true), ["completed: 1"]);
  });
});
