import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import {
  appendChunk,
  defineProcessor,
  type Processor,
  replaceBody,
  replaceJson,
  replaceText,
  setHeader,
} from "../../../src/index.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { eventually } from "../rows/eventually.ts";
import { type RunningScenes, type SceneInit, startScenes } from "../rows/scene.ts";
import type { ClientInit } from "../rows/scene-client.ts";
import { served } from "../rows/served.ts";

const BODY = JSON.stringify({ text: "body of a client, or of an upstream; ".repeat(6_000) });
const DIGEST = digest(Buffer.from(BODY));
const FILTERS: Readonly<Record<string, JsonObject>> = {
  "shadow mode, BUFFERED": modes("BUFFERED", "SKIP"),
  "shadow mode, STREAMED": modes("STREAMED", "SEND"),
  "shadow mode, FULL_DUPLEX_STREAMED": modes("FULL_DUPLEX_STREAMED", "SEND"),
  "observability mode": { ...modes("STREAMED", "SEND"), observability_mode: true, deferred_close_timeout: "1s" },
};
const REQUESTS: Readonly<Record<string, ClientInit>> = {
  "a length": { method: "POST", body: BODY },
  chunks: { method: "POST", body: BODY, trailers: {} },
  "chunks and trailers": { method: "POST", body: BODY, headers: { trailer: "x-end" }, trailers: { "x-end": "kept" } },
};

/** Digests that handlers came to, in each direction. */
const seen: string[] = [];

/** Notes what a handler was given, whole or in pieces. */
function watcher() {
  let hash = createHash("sha256");
  return {
    piece: (bytes: Uint8Array) => void hash.update(bytes),
    end() {
      seen.push(hash.digest("hex"));
      hash = createHash("sha256");
    },
    whole: (body: Uint8Array | string) => void seen.push(digest(Buffer.from(body))),
  };
}

/** Handlers that would change everything. */
function handlerOf(read: string): object {
  const { piece, end, whole } = watcher();
  switch (read) {
    case "whole":
      return {
        read,
        handle({ bytes }: { bytes: Uint8Array }) {
          whole(bytes);
          return [replaceBody(new Uint8Array(3)), setHeader("x-changed", "yes")];
        },
      };
    case "text":
      return {
        read,
        handle(text: string) {
          whole(text);
          return [replaceText("changed"), setHeader("x-changed", "yes")];
        },
      };
    case "json":
      return {
        read,
        handle(value: unknown) {
          whole(JSON.stringify(value));
          return replaceJson({ changed: true });
        },
      };
    case "chunks":
      return {
        read,
        chunk(bytes: Uint8Array) {
          piece(bytes);
          return new Uint8Array();
        },
        end() {
          end();
          return appendChunk("tail");
        },
      };
    case "stream":
      return {
        read,
        async *handle(chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            piece(chunk);
            yield new Uint8Array(7);
          }
          end();
          yield new Uint8Array(9);
        },
      };
    default:
      return { read, chunk: piece, end };
  }
}

const READS = ["whole", "text", "json", "chunks", "stream", "inspect"] as const;

function processorOf(read: string): Processor {
  return (defineProcessor as (definition: object) => Processor)({
    name: read,
    timeoutMs: 4_000,
    requestBody: handlerOf(read),
    responseBody: handlerOf(read),
  });
}

function modes(body: string, trailers: string): JsonObject {
  return {
    processing_mode: {
      request_body_mode: body,
      response_body_mode: body,
      request_trailer_mode: trailers,
      response_trailer_mode: trailers,
    },
  };
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe.skipIf(envoyBinary === undefined)("a body that is only watched, behind a real Envoy", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    const inits = new Map<string, SceneInit>();
    for (const [name, filter] of Object.entries(FILTERS)) {
      for (const read of READS) {
        inits.set(nameOf(name, read), {
          server: served(processorOf(read), { shadow: name.startsWith("shadow") }),
          filter,
          respond(response, { body, trailers }) {
            const { "x-end": end } = trailers;
            if (end !== undefined) response.writeHead(200, { trailer: "x-end" });
            response.write(body, "latin1");
            if (end !== undefined) response.addTrailers({ "x-end": end });
            response.end();
          },
        });
      }
    }
    scenes = await startScenes(inits);
  });

  afterAll(() => scenes?.stop());

  describe.each(Object.keys(FILTERS))("in %s", (name) => {
    test.each(READS)("a watched body is the same on both sides, and its handler sees all of it: %s", async (read) => {
      const scene = scenes.scenes.get(nameOf(name, read));
      if (scene === undefined) throw new Error("there is no scene");
      for (const [framing, request] of Object.entries(REQUESTS)) {
        seen.length = 0;
        const already = scene.upstream.length;
        const outcome = await scene.send(request);
        const there = scene.upstream[already];
        expect(there?.body === BODY, `${framing}: at the upstream`).toBe(true);
        expect(outcome.body === BODY, `${framing}: at the client`).toBe(true);
        expect([outcome.status, outcome.complete, outcome.headers["x-changed"]]).toEqual([200, true, undefined]);
        expect(there?.headers["x-changed"]).toBe(undefined);
        expect([there?.trailers["x-end"], outcome.trailers["x-end"]]).toEqual([
          request.trailers?.["x-end"],
          request.trailers?.["x-end"],
        ]);
        await eventually(() => expect(seen, framing).toEqual([DIGEST, DIGEST]));
      }
      const { spurious_msgs_received, streams_failed } = await scene.counters();
      expect({ spurious_msgs_received, streams_failed }).toEqual({ spurious_msgs_received: 0, streams_failed: 0 });
    });
  });
});

function nameOf(name: string, read: string): string {
  return `${name}_${read}`.replaceAll(/[^a-zA-Z_]+/g, "-");
}
