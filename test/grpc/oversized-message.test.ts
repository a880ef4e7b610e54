import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type FramingProblem, MessageReader } from "../../src/grpc/message-reader.ts";
import { defineProcessor, type Processor } from "../../src/index.ts";
import { decodeRequest } from "../../src/wire/decode-request.ts";
import { bounded, fc } from "../property/seed.ts";
import { bodyModes, bodyOf, headersOf } from "../protocol/messages.ts";
import { requestBytes } from "./fake-stream.ts";
import { grpcFrame } from "./framing.ts";
import { startCall } from "./started-call.ts";

const MAX_BYTES = 1024;

function read(bytes: Uint8Array, cuts: readonly number[]) {
  const found: ProcessingRequest[] = [];
  const problems: FramingProblem[] = [];
  const reader = new MessageReader(
    {
      onMessage(message) {
        found.push(decodeRequest(message.slice()));
        return false;
      },
      onOversized: (message) => found.push(decodeRequest(message)),
      onUnreadable: (problem) => problems.push(problem),
    },
    MAX_BYTES,
  );
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    reader.read(bytes, at, Math.min(cut, bytes.length));
    at = Math.max(at, Math.min(cut, bytes.length));
  }
  reader.read(bytes, at, bytes.length);
  return { found, problems, idle: reader.idle };
}

describe("a message above the limit", () => {
  test("a message above the limit keeps everything but the bytes of its body, wherever it is cut, and the next message is found", () => {
    const arbitrary = fc.record({
      phase: fc.constantFrom("requestBody" as const, "responseBody" as const),
      bytes: fc.integer({ min: MAX_BYTES, max: 40_000 }),
      endOfStream: fc.boolean(),
      observed: fc.boolean(),
      attribute: fc.string({ maxLength: 200 }),
      cuts: fc.array(fc.nat(41_000), { maxLength: 6 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ phase, bytes, endOfStream, observed, attribute, cuts }) => {
        const request = create(ProcessingRequestSchema, {
          ...bodyOf(phase, "x".repeat(bytes), { endOfStream }),
          observabilityMode: observed,
          attributes: { "envoy.filters.http.ext_proc": { a: attribute } },
        });
        const next = bodyOf("requestBody", "next", { endOfStream: true });
        const framed = Buffer.concat([grpcFrame(toBinary(ProcessingRequestSchema, request)), requestBytes(next)]);
        const { found, problems, idle } = read(framed, cuts);
        expect([problems, idle, found.length]).toEqual([[], true, 2]);
        const [first, second] = found;
        expect(first?.request).toMatchObject({ case: phase, value: { endOfStream } });
        expect(first?.request.value).toMatchObject({ body: new Uint8Array(0) });
        expect(first).toMatchObject({ observabilityMode: observed, attributes: request.attributes });
        expect(second?.request.value).toMatchObject({ body: new Uint8Array(Buffer.from("next")), endOfStream: true });
      }),
      bounded(200),
    );
  });

  test("a message above the limit is refused with its first byte if it carries no body, or too much in addition to a body", () => {
    const headers = headersOf("requestHeaders", [["x-long", "v".repeat(2 * MAX_BYTES)]]);
    const long = create(ProcessingRequestSchema, {
      ...bodyOf("requestBody", "b"),
      attributes: { a: { b: "v".repeat(2 * MAX_BYTES) } },
    });
    expect(read(requestBytes(headers), []).problems).toMatchObject([{ kind: "too_large", tag: 0x12 }]);
    expect(read(requestBytes(long), []).problems).toMatchObject([{ kind: "too_large", tag: 0x22 }]);
    expect(read(grpcFrame(new Uint8Array(2 * MAX_BYTES)), []).problems).toMatchObject([{ kind: "too_large", tag: 0 }]);
  });
});

const inspect = (overLimit?: "pass") => ({ read: "inspect", chunk: () => undefined, overLimit }) as const;
const PROCESSORS = {
  "no body handler": defineProcessor({ name: "p", requestHeaders: () => undefined }),
  "a handler": defineProcessor({ name: "p", onFault: "open", requestBody: inspect(), responseBody: inspect() }),
  "a handler that lets large bodies pass": defineProcessor({
    name: "p",
    requestBody: inspect("pass"),
    responseBody: inspect("pass"),
  }),
  "a handler whose when is false": defineProcessor({
    name: "p",
    requestBody: { ...inspect(), when: () => false },
    responseBody: { ...inspect(), when: () => false },
  }),
} satisfies Record<string, Processor>;

type Modes = Parameters<typeof bodyModes>;
const CASES: readonly (readonly [keyof typeof PROCESSORS, Modes[0], request: string, response: string])[] = [
  ["no body handler", "BUFFERED", "passes", "passes"],
  ["no body handler", "STREAMED", "passes", "passes"],
  ["no body handler", "FULL_DUPLEX_STREAMED", "error 8", "error 8"],
  ["a handler", "BUFFERED", "413", "500"],
  ["a handler", "BUFFERED_PARTIAL", "413", "500"],
  ["a handler", "STREAMED", "413", "error 8"],
  ["a handler", "FULL_DUPLEX_STREAMED", "413", "error 8"],
  ["a handler that lets large bodies pass", "BUFFERED", "passes", "passes"],
  ["a handler that lets large bodies pass", "STREAMED", "413", "error 8"],
  ["a handler whose when is false", "BUFFERED", "passes", "passes"],
  ["a handler whose when is false", "STREAMED", "passes", "passes"],
];

describe("a body chunk larger than --max-message-bytes", () => {
  const outcome = (processor: Processor, mode: Modes[0], direction: "request" | "response") => {
    const { stream, receive } = startCall(processor, { maxMessageBytes: MAX_BYTES });
    receive(headersOf("requestHeaders", [], { endOfStream: direction === "response", ...bodyModes(mode, mode) }));
    if (direction === "response") receive(headersOf("responseHeaders"));
    const answered = stream.answers.length;
    receive(bodyOf(`${direction}Body`, "x".repeat(2 * MAX_BYTES), { endOfStream: true }));
    const [answer] = stream.answers.slice(answered);
    if (answer?.response.case === "immediateResponse") return String(answer.response.value.status?.code);
    if (answer?.response.case === "requestBody" || answer?.response.case === "responseBody")
      return answer.response.value.response?.bodyMutation === undefined ? "passes" : "changes the body";
    return `error ${stream.ending?.["grpc-status"]}`;
  };

  test.each(CASES)(
    "a body chunk above the limit, with %s in %s, has these outcomes: request %s, response %s",
    (name, mode, request, response) => {
      const processor = PROCESSORS[name];
      expect([outcome(processor, mode, "request"), outcome(processor, mode, "response")]).toEqual([request, response]);
    },
  );

  test("a body chunk above the limit is 413 under every fault policy of the processor", () => {
    for (const onFault of ["open", "envoy", "closed"] as const) {
      const processor = defineProcessor({ name: "p", onFault, requestBody: { read: "text", handle: () => undefined } });
      expect(outcome(processor, "BUFFERED", "request")).toBe("413");
    }
  });

  test("a body chunk above the limit is 413 too if it comes instead of request headers that a handler must see", () => {
    const processor = defineProcessor({ name: "p", onFault: "open", requestHeaders: () => undefined });
    const { stream, receive } = startCall(processor, { maxMessageBytes: MAX_BYTES });
    receive(headersOf("requestHeaders", [["x-long", "v".repeat(2 * MAX_BYTES)]]));
    expect(stream.answers[0]?.response).toMatchObject({ case: "immediateResponse", value: { status: { code: 413 } } });
  });
});
