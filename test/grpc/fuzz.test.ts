import { describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { fc } from "../property/seed.ts";
import { bodyOf, headersOf } from "../protocol/messages.ts";
import { requestBytes } from "./fake-stream.ts";
import { startCall } from "./started-call.ts";

/**
 * `npm run fuzz` sets these: how long to run, and the first seed. A failure of fast-check names its own seed and
 * path.
 */
const { FUZZ_MINUTES, FUZZ_SEED } = process.env;
const milliseconds = FUZZ_MINUTES === undefined ? 3_000 : Number(FUZZ_MINUTES) * 60_000;
const bounds = {
  seed: FUZZ_SEED === undefined ? 20_261_002 : Number(FUZZ_SEED) | 0,
  numRuns: FUZZ_MINUTES === undefined ? 2_000 : 2 ** 30,
  interruptAfterTimeLimit: milliseconds,
};

const RECORDED = requestBytes(
  headersOf("requestHeaders", [[":path", "/a"]]),
  bodyOf("requestBody", "some bytes of a body", { endOfStream: true }),
  headersOf("responseHeaders", [[":status", "200"]]),
  bodyOf("responseBody", "more of them", { endOfStream: true }),
);

/** A valid stream that an attacker has damaged: bytes are changed, removed, inserted or cut off. */
const mutated = fc
  .array(fc.tuple(fc.nat(RECORDED.length - 1), fc.constantFrom("change", "remove", "insert", "cut"), fc.nat(255)), {
    maxLength: 8,
  })
  .map((mutations) => {
    let bytes = [...RECORDED];
    for (const [at, how, byte] of mutations) {
      if (how === "change") bytes[at] = byte;
      else if (how === "remove") bytes.splice(at, 1);
      else if (how === "insert") bytes.splice(at, 0, byte);
      else bytes = bytes.slice(0, at);
    }
    return Uint8Array.from(bytes.map((byte) => byte ?? 0));
  });

const anyBytes = fc.oneof(
  { arbitrary: mutated, weight: 4 },
  { arbitrary: fc.uint8Array({ maxLength: 300 }), weight: 1 },
);

describe("a Process call with random bytes", () => {
  test(
    "a Process call with random bytes throws nothing, answers what it can read, and ends once",
    () => {
      fc.assert(
        fc.property(
          anyBytes,
          fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
          (bytes, sizes) => {
            const { call, stream, sessions, ends, receiveBytes } = startCall(hello, { maxMessageBytes: 4096 });
            for (let at = 0, piece = 0; at < bytes.length; piece++) {
              const size = sizes[piece % sizes.length] ?? 1;
              receiveBytes(bytes.subarray(at, at + size));
              at += size;
            }
            call.onEnd();
            expect(ends).toHaveLength(1);
            expect(sessions.size).toBe(0);
            // If the mutated bytes say that Envoy only watches, even a fault ends with OK.
            const isOk = ends[0]?.error === undefined || ends[0].observed === true;
            expect(stream.ending["grpc-status"] === "0").toBe(isOk);
            expect(stream.answers.every(({ response }) => response.case !== undefined)).toBe(true);
          },
        ),
        bounds,
      );
    },
    milliseconds + 20_000,
  );
});
