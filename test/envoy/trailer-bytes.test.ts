import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VALUE_BYTES } from "../../src/protocol/headers/allowed-characters.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type Scene, startScenes } from "./rows/scene.ts";
import type { ClientOutcome } from "./rows/scene-client.ts";
import { mutate, on, scripted } from "./rows/script-scenes.ts";
import type { ScriptedServer } from "./scripted.ts";

/** Envoy takes 100 entries in one mutation. */
const BATCH = 90;
const ALL = [...VALUE_BYTES.keys()];
const ALLOWED = ALL.filter((byte) => VALUE_BYTES[byte] === 1);
const FORBIDDEN = ALL.filter((byte) => VALUE_BYTES[byte] !== 1);

const hex = (byte: number) => byte.toString(16).padStart(2, "0");
const batches = (bytes: readonly number[]) =>
  Array.from({ length: Math.ceil(bytes.length / BATCH) }, (_, at) => bytes.slice(at * BATCH, (at + 1) * BATCH));

describe.skipIf(envoyBinary === undefined)("in the values of trailers that a server sets, a real Envoy", () => {
  let scenes: RunningScenes;
  let scene: Scene<ScriptedServer>;

  beforeAll(async () => {
    const init = {
      server: scripted(),
      filter: { processing_mode: { request_trailer_mode: "SEND", response_trailer_mode: "SEND" } },
      respond(response: import("node:http").ServerResponse) {
        response.write("body");
        response.addTrailers({ "x-end": "1" });
        response.end();
      },
    };
    scenes = await startScenes(new Map([["only", init]]));
    scene = scenes.scenes.get("only") as Scene<ScriptedServer>;
  }, 30_000);

  afterAll(() => scenes?.stop());

  /** Sets a trailer for each byte, and returns the result of the request, and the trailers as they arrived. */
  async function set(phase: "requestTrailers" | "responseTrailers", bytes: readonly number[]) {
    const setHeaders = bytes.map((byte) => ({
      header: { key: `x-${hex(byte)}`, rawValue: { hex: `3c${hex(byte)}3e` } },
    }));
    scene.server.play({ rules: [on(phase, mutate(phase, { setHeaders }))] });
    const before = scene.upstream.length;
    const outcome: ClientOutcome = await scene.send({ method: "POST", body: "body", trailers: { "x-end": "1" } });
    const request = scene.upstream[before];
    const trailers = phase === "requestTrailers" ? (request?.trailers ?? {}) : outcome.trailers;
    return { outcome, trailers, isWhole: outcome.status === 200 && outcome.complete && request?.end === "complete" };
  }

  test.each(["requestTrailers", "responseTrailers"] as const)(
    "Envoy forwards exactly the bytes of VALUE_BYTES in %s",
    async (phase) => {
      for (const batch of batches(ALLOWED)) {
        const { isWhole, trailers } = await set(phase, batch);
        expect(isWhole).toBe(true);
        for (const byte of batch) expect(trailers[`x-${hex(byte)}`]).toBe(`<${String.fromCharCode(byte)}>`);
      }
    },
  );

  test.each(["requestTrailers", "responseTrailers"] as const)(
    "Envoy fails on bytes that are not in VALUE_BYTES in %s",
    async (phase) => {
      for (const byte of FORBIDDEN) {
        const { isWhole, trailers } = await set(phase, [byte]);
        expect([byte, isWhole, trailers[`x-${hex(byte)}`]]).toEqual([byte, false, undefined]);
      }
    },
    60_000,
  );
});
