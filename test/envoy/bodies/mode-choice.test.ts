import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor, immediateResponse, type Processor } from "../../../src/index.ts";
import type { DeclaredEnvoySettings } from "../../../src/protocol/envoy-settings.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { type RunningScenes, type SceneInit, startScenes } from "../rows/scene.ts";
import { FAIL_OPEN } from "../rows/script-scenes.ts";
import { served } from "../rows/served.ts";

/** As small as an HTTP/2 window may be. Bodies are larger. */
const LIMIT_BYTES = 64 << 10;
const BODY = "x".repeat(200_000);
const EVENTS = ["data: a\n\n", "data: b\n\n", "data: c\n\n"];

const CONFIGURED = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL"] as const;
const DECLARED = {
  nothing: {},
  "overrides only": { allowModeOverride: true },
  "overrides and the limit": { allowModeOverride: true, bufferLimitBytes: LIMIT_BYTES },
  "overrides and a wrong limit": { allowModeOverride: true, bufferLimitBytes: 1 << 20, overriddenBodyTimeoutMs: 300 },
} satisfies Record<string, DeclaredEnvoySettings>;
const READS = ["whole", "chunks", "inspect", "stream"] as const;

/** Bytes that the handler of a scene saw, of the last request. */
const seen = new Map<string, number>();

function processorOf(name: string, read: (typeof READS)[number]): Processor {
  const add = (bytes: Uint8Array) => void seen.set(name, (seen.get(name) ?? 0) + bytes.length);
  const shared = { required: true, maxBytes: 1 << 20 } as const;
  switch (read) {
    case "whole":
      return defineProcessor({
        name: "p",
        onFault: "closed",
        requestBody: {
          read,
          ...shared,
          handle({ bytes, complete }) {
            add(bytes);
            return complete ? undefined : immediateResponse(413);
          },
        },
      });
    case "stream":
      return defineProcessor({
        name: "p",
        onFault: "closed",
        requestBody: {
          read,
          ...shared,
          async *handle(chunks) {
            for await (const chunk of chunks) {
              add(chunk);
              yield chunk;
            }
          },
        },
      });
    default:
      return defineProcessor({
        name: "p",
        onFault: "closed",
        requestBody: { read, ...shared, chunk: (bytes) => add(bytes) },
      });
  }
}

const CASES = CONFIGURED.flatMap((configured) =>
  (Object.keys(DECLARED) as (keyof typeof DECLARED)[]).flatMap((declared) =>
    READS.map((read) => ({
      name: `${configured}-${declared}-${read}`.replaceAll(" ", "-"),
      configured,
      declared,
      read,
    })),
  ),
);

const eventReader = (read: "stream" | "inspect") =>
  read === "inspect"
    ? defineProcessor({ name: "p", responseBody: { read, chunk: () => undefined } })
    : defineProcessor({
        name: "p",
        responseBody: {
          read,
          async *handle(chunks) {
            yield* chunks;
          },
        },
      });

describe.skipIf(envoyBinary === undefined)("behind a real Envoy whose allow_mode_override is set", () => {
  let running: RunningScenes;

  beforeAll(async () => {
    const inits = new Map<string, SceneInit>();
    for (const { name, configured, declared, read } of CASES)
      inits.set(name, {
        server: served(processorOf(name, read), { envoy: DECLARED[declared] }),
        // Whatever fails open would pass unseen.
        filter: { ...FAIL_OPEN, allow_mode_override: true, processing_mode: { request_body_mode: configured } },
        bufferLimitBytes: LIMIT_BYTES,
      });
    for (const read of ["stream", "inspect"] as const)
      inits.set(`events-${read}`, {
        server: served(eventReader(read), { envoy: { allowModeOverride: true } }),
        filter: {
          allow_mode_override: true,
          processing_mode: { request_body_mode: "BUFFERED", response_body_mode: "BUFFERED" },
        },
        async respond(response) {
          response.setHeader("content-type", "text/event-stream");
          for (const event of EVENTS) {
            response.write(event);
            await new Promise((resolve) => setTimeout(resolve, 300));
          }
          response.end();
        },
      });
    running = await startScenes(inits);
  });

  afterAll(() => running?.stop());

  test.each(CASES)("a large body never hangs, and is never let through unseen: $name", async ({ name, declared }) => {
    const scene = running.scenes.get(name);
    if (scene === undefined) throw new Error(`there is no scene ${name}`);
    for (const trailers of [undefined, {}]) {
      seen.set(name, 0);
      const before = scene.upstream.length;
      const startMs = performance.now();
      const { status } = await scene.send({ method: "POST", body: BODY, ...(trailers && { trailers }) });
      // Envoy's own timeout for a stream that idles is 5 s here.
      expect(performance.now() - startMs).toBeLessThan(4_000);
      const arrived = scene.upstream.slice(before).filter(({ body }) => body.length === BODY.length);
      expect(status === 200 ? seen.get(name) : BODY.length).toBe(BODY.length);
      expect(arrived.length).toBe(status === 200 ? 1 : 0);
      // With trailers the length is not known, and no override asks for BUFFERED.
      if (name === "NONE-overrides-and-a-wrong-limit-whole") expect(status).toBe(trailers ? 200 : 408);
      if (declared === "overrides only" && !name.startsWith("BUFFERED")) expect(status).toBe(200);
    }
  });

  test.each(["stream", "inspect"])("an event stream with a %s handler is not held back by BUFFERED", async (read) => {
    const port = running.scenes.get(`events-${read}`)?.port;
    const response = await fetch(`http://127.0.0.1:${port}/`);
    const pieces: string[] = [];
    for await (const piece of response.body ?? []) pieces.push(Buffer.from(piece).toString());
    expect(pieces).toEqual(EVENTS);
  });
});
