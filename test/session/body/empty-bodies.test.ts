import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import {
  appendChunk,
  compose,
  createLineSplitter,
  createSseSplitter,
  defineProcessor,
  jsonLines,
  lines,
  type Processor,
  replaceJson,
  replaceText,
  sseEvents,
} from "../../../src/index.ts";
import type { SimulatedBody } from "../../../src/simulation/simulated-request.ts";
import { MODES, sendIn } from "./upper.ts";

type Make = (calls: string[]) => object;

/** A handler of each kind, which records its call, and would add something to every body. */
const HANDLERS: Readonly<Record<string, Make>> = {
  whole: (calls) => ({ read: "whole", handle: () => [calls.push("handle"), replaceText("made")][1] }),
  text: (calls) => ({ read: "text", handle: () => [calls.push("handle"), replaceText("made")][1] }),
  json: (calls) => ({ read: "json", handle: () => [calls.push("handle"), replaceJson({ made: true })][1] }),
  chunks: (calls) => ({ read: "chunks", chunk: () => void calls.push("chunk") }),
  "chunks with end": (calls) => ({
    read: "chunks",
    chunk: () => void calls.push("chunk"),
    end: () => [calls.push("end"), appendChunk("made")][1],
  }),
  stream: (calls) => ({
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      calls.push("handle");
      yield* chunks;
      yield Buffer.from("made");
    },
  }),
  lines: (calls) => ({ read: "stream", handle: (chunks: AsyncIterable<Uint8Array>) => looped(lines(chunks), calls) }),
  "json lines": (calls) => ({
    read: "stream",
    handle: (chunks: AsyncIterable<Uint8Array>) => looped(jsonLines(chunks), calls),
  }),
  "server-sent events": (calls) => ({
    read: "stream",
    handle: (chunks: AsyncIterable<Uint8Array>) => looped(sseEvents(chunks), calls),
  }),
  "lines, chunk by chunk": (calls) => split(calls, createLineSplitter()),
  "server-sent events, chunk by chunk": (calls) => split(calls, createSseSplitter()),
  inspect: (calls) => ({ read: "inspect", chunk: () => calls.push("chunk"), end: () => void calls.push("end") }),
};

async function* looped(items: AsyncIterable<{ readonly raw: Uint8Array }>, calls: string[]) {
  calls.push("handle");
  for await (const { raw } of items) yield raw;
  yield Buffer.from("made");
}

function split(
  calls: string[],
  splitter: { push(bytes: Uint8Array): unknown; end(): Iterable<{ readonly raw: Uint8Array }> },
) {
  return {
    read: "chunks",
    chunk: (bytes: Uint8Array) => {
      calls.push("chunk");
      splitter.push(bytes);
    },
    end: () =>
      [calls.push("end"), ...[...splitter.end()].map(({ raw }) => appendChunk(raw)), appendChunk("made")].slice(1),
  };
}

function processorOf(kind: string, calls: string[], more: object = {}): Processor {
  const define = defineProcessor as (definition: object) => Processor;
  if (kind === "grpc") {
    const called = () => void calls.push("message");
    const check = { request: called, response: called };
    return define({ name: "p", grpc: { service: Health, methods: { check }, ...more } });
  }
  const handler = { ...HANDLERS[kind]?.(calls), ...more };
  return define({ name: "p", requestBody: handler, responseBody: handler });
}

interface Framing {
  readonly protocol: "http1" | "http2";
  readonly message: SimulatedBody;
}

/** Ways to frame a message without content, as Envoy receives them. */
const FRAMINGS: Readonly<Record<string, Framing>> = {
  "the end on its headers": { protocol: "http2", message: {} },
  "content-length: 0": { protocol: "http1", message: { headers: { "content-length": "0" } } },
  "a last chunk alone": { protocol: "http1", message: { chunks: [""] } },
  "a late last chunk": { protocol: "http1", message: { chunks: [""], chunkIntervalMs: 5 } },
  "an empty DATA frame": { protocol: "http2", message: { chunks: [""] } },
  "a late empty DATA frame": { protocol: "http2", message: { chunks: [""], chunkIntervalMs: 5 } },
  "two empty DATA frames": { protocol: "http2", message: { chunks: ["", ""], chunkIntervalMs: 5 } },
  "content-length: 0 and an empty DATA frame": {
    protocol: "http2",
    message: { headers: { "content-length": "0" }, chunks: [""], chunkIntervalMs: 5 },
  },
  "trailers behind its headers": { protocol: "http2", message: { trailers: { "x-t": "1" } } },
  "trailers behind an empty DATA frame": {
    protocol: "http2",
    message: { chunks: [""], chunkIntervalMs: 5, trailers: { "x-t": "1" } },
  },
};

/** Headers that are a fault if a body follows. */
const HEADERS = {
  plain: { "content-type": "application/json" },
  "with a coding": { "content-type": "application/json", "content-encoding": "gzip" },
  "with an unknown coding": { "content-type": "application/json", "content-encoding": "unknown" },
  "of a part": { "content-type": "application/json", "content-range": "bytes 0-0/1" },
};

const KINDS = [...Object.keys(HANDLERS), "grpc"];
const ENVOYS = { "without overrides": {}, "with overrides": { allowModeOverride: true } };

function messageOf({ message }: Framing, headers: object): SimulatedBody {
  return { ...message, headers: { ...headers, ...message.headers } };
}

describe.each(KINDS)("an empty body and a handler: %s", (kind) => {
  test.each(Object.entries(HEADERS))(
    "an empty body has one outcome, however it is framed: headers %s",
    async (_name, given) => {
      const headers = kind === "grpc" ? { ...given, "content-type": "application/grpc" } : given;
      for (const [name, framing] of Object.entries(FRAMINGS)) {
        for (const mode of MODES) {
          for (const [overrides, envoy] of Object.entries(ENVOYS)) {
            // Envoy itself hangs if trailers and no body follow an override to FULL_DUPLEX_STREAMED
            // (docs/envoy-behaviour.md).
            if (name === "trailers behind its headers" && "allowModeOverride" in envoy) continue;
            for (const direction of ["request", "response"] as const) {
              const calls: string[] = [];
              const message = messageOf(framing, headers);
              const status = "content-range" in given && direction === "response" ? 206 : 200;
              const { request, response, faults, warnings } = await sendIn(processorOf(kind, calls), mode, {
                envoy,
                request: {
                  method: "DELETE",
                  path: "/grpc.health.v1.Health/Check",
                  protocol: framing.protocol,
                  headers: { "content-type": kind === "grpc" ? "application/grpc" : "text/plain" },
                  ...(direction === "request" && message),
                  response: { status, ...(direction === "response" && message) },
                },
              });
              expect(
                [
                  response.status,
                  request?.body,
                  response.body,
                  response.end,
                  request?.complete,
                  calls,
                  faults,
                  warnings,
                ],
                `${direction}, ${name}, ${mode}, ${overrides}`,
              ).toEqual([status, "", "", "complete", true, [], [], []]);
            }
          }
        }
      }
    },
  );

  test("an empty body is not a fault if the handler requires a body and Envoy says that it is empty or sends it", async () => {
    for (const [name, framing] of Object.entries(FRAMINGS)) {
      for (const mode of MODES) {
        const calls: string[] = [];
        const { response, faults } = await sendIn(processorOf(kind, calls, { required: true }), mode, {
          request: {
            method: "DELETE",
            path: "/grpc.health.v1.Health/Check",
            protocol: framing.protocol,
            ...messageOf(framing, { "content-type": kind === "grpc" ? "application/grpc" : "application/json" }),
          },
        });
        const { chunks, trailers, headers } = framing.message;
        const isKnown = (chunks === undefined && trailers === undefined) || headers !== undefined;
        // In NONE no message shows that the body is empty.
        const expected = mode === "NONE" && !isKnown ? ["body_required_unseen"] : [];
        expect(
          faults.map(({ code }) => code),
          `${name}, ${mode}`,
        ).toEqual(expected);
        // A gRPC client gets 200 and a gRPC status.
        expect(response.status).toBe(expected.length > 0 && kind !== "grpc" ? 500 : 200);
        expect(calls).toEqual([]);
      }
    }
  });
});

test("a body that one handler empties is empty for the handlers behind it, in every mode", async () => {
  const emptying = defineProcessor({
    name: "emptying",
    requestBody: { read: "chunks", chunk: () => new Uint8Array(0) },
  });
  for (const kind of KINDS.filter((each) => each !== "grpc")) {
    for (const mode of MODES.filter((each) => each !== "NONE")) {
      const calls: string[] = [];
      const { request, faults } = await sendIn(compose(emptying, processorOf(kind, calls)), mode, {
        request: { body: "abc" },
      });
      expect([request?.body, faults, calls], `${kind}, ${mode}`).toEqual(["", [], []]);
    }
  }
});

test("a fault of a body that is not empty comes with its first byte, and nothing of it is passed", async () => {
  const processor = defineProcessor({ name: "p", requestBody: { read: "json", handle: () => undefined } });
  for (const [headers, code] of [
    [{}, "body_end_unknowable"],
    [{ "content-encoding": "unknown" }, "unknown_coding"],
    [{ "content-range": "bytes 0-0/1" }, "body_partial_content"],
  ] as const) {
    const modes = code === "body_end_unknowable" ? (["STREAMED"] as const) : MODES.filter((mode) => mode !== "NONE");
    for (const mode of modes) {
      // Without a length only FULL_DUPLEX_STREAMED and the buffered modes can have this body.
      const length = code !== "body_end_unknowable" && mode === "STREAMED" ? { "content-length": "2" } : {};
      const { request, response, faults } = await sendIn(processor, mode, {
        request: { protocol: "http2", chunks: ["", "{}"], chunkIntervalMs: 5, headers: { ...headers, ...length } },
      });
      expect(faults, `${code}, ${mode}`).toMatchObject([{ code, processor: "p" }]);
      expect([request?.body ?? "", request?.complete ?? false, response.status]).toEqual(["", false, 500]);
    }
  }
});
