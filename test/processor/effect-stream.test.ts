import { create } from "@bufbuild/protobuf";
import { anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import {
  immediateResponse,
  overrideMode,
  setDynamicMetadata,
  setHeader,
  setTypedDynamicMetadata,
  streamedImmediateResponse,
} from "../../src/processor/effects.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { bodyModes, bytes, headersOf } from "../protocol/messages.ts";
import { type AnsweredTo, answerOf, faultOf, outcomeOf } from "../session/answering.ts";
import { recordSession } from "../session/recorded-session.ts";

const packed = (value: string) => anyPack(StringValueSchema, create(StringValueSchema, { value }));

describe("immediateResponse", () => {
  test.each([204, 205, 304])("immediateResponse with status %i takes no body", (status) => {
    expect(faultOf(immediateResponse(status, { text: "x" }))).toContain(`status ${status} has no body`);
    expect(outcomeOf(immediateResponse(status)).answers).toHaveLength(1);
  });

  test("immediateResponse refuses an option that it does not have, and lists those it has", () => {
    expect(faultOf(immediateResponse(200, { body: "x" } as never))).toContain(
      'immediateResponse: "body" is not an option; options are json, text, bytes, headers, grpcStatus, details',
    );
  });

  test("immediateResponse obeys the mutation_rules with its headers too", () => {
    const effect = immediateResponse(403, { headers: { "X-Envoy-Foo": "1" } });
    expect(faultOf(effect)).toContain("mutation_not_allowed: ");
    expect(outcomeOf(effect, { declared: { mutationRules: { allowEnvoy: true } } }).answers).toHaveLength(1);
  });

  test("immediateResponse is a fault if the operator declared that Envoy takes none", () => {
    const declared = { disableImmediateResponse: true };
    expect(faultOf(immediateResponse(403), { declared })).toContain("immediate_response_disabled: ");
    expect(outcomeOf(immediateResponse(403), { declared, observabilityMode: true }).fault).toBeUndefined();
  });

  test("immediateResponse carries the metadata before it", () => {
    const answer = answerOf([setDynamicMetadata("auth", { user: "ada" }), immediateResponse(403)]);
    expect(answer).toMatchObject({
      response: { case: "immediateResponse" },
      dynamicMetadata: { auth: { user: "ada" } },
    });
  });
});

describe("streamedImmediateResponse", () => {
  const asked = (mode: Parameters<typeof bodyModes>[0], method = "GET"): AnsweredTo => ({
    headers: [
      [":method", method],
      ["content-type", "application/grpc"],
    ],
    ...bodyModes(mode),
  });
  const members = (effect: unknown, mode: Parameters<typeof bodyModes>[0] = "NONE") =>
    outcomeOf(effect, asked(mode)).answers.map(({ response }) => {
      if (response.case !== "streamedImmediateResponse") throw new Error(`member ${response.case}`);
      return response.value.response;
    });

  test("streamedImmediateResponse begins with headers, which end it if nothing follows", () => {
    expect(members(streamedImmediateResponse(202, { headers: { "X-A": "1" } }), "BUFFERED")).toMatchObject([
      {
        case: "headersResponse",
        value: {
          endOfStream: true,
          headers: {
            headers: [
              { key: ":status", rawValue: bytes("202") },
              { key: "x-a", rawValue: bytes("1") },
            ],
          },
        },
      },
    ]);
  });

  test("streamedImmediateResponse continues with the chunks, of which the last ends it; empty chunks are left out", () => {
    const effect = streamedImmediateResponse(200, { chunks: ["a", "", new Uint8Array([0x62]), ""] });
    expect(members(effect)).toMatchObject([
      { case: "headersResponse", value: { endOfStream: false } },
      { case: "bodyResponse", value: { body: bytes("a"), endOfStream: false } },
      { case: "bodyResponse", value: { body: bytes("b"), endOfStream: true } },
    ]);
  });

  test("streamedImmediateResponse ends with its trailers if it has some", () => {
    const effect = streamedImmediateResponse(200, { chunks: ["a"], trailers: { "x-t": "1" } });
    expect(members(effect, "FULL_DUPLEX_STREAMED")).toMatchObject([
      { case: "headersResponse", value: { endOfStream: false } },
      { case: "bodyResponse", value: { endOfStream: false } },
      { case: "trailersResponse", value: { headers: [{ key: "x-t", rawValue: bytes("1") }] } },
    ]);
  });

  test("streamedImmediateResponse cuts chunks into pieces of 64 KiB", () => {
    const sizes = members(streamedImmediateResponse(200, { chunks: [new Uint8Array(150_000)] })).map((piece) =>
      piece.case === "bodyResponse" ? piece.value.body.length : 0,
    );
    expect(sizes).toEqual([0, 65_536, 65_536, 18_928]);
  });

  test("streamedImmediateResponse is only headers for a client that sent HEAD, which would take a body for the next response", () => {
    const effect = streamedImmediateResponse(200, { headers: { "x-a": "1" }, chunks: ["a"], trailers: { "x-t": "1" } });
    for (const mode of ["NONE", "BUFFERED"] as const) {
      expect(outcomeOf(effect, asked(mode, "HEAD")).answers).toMatchObject([
        { response: { value: { response: { case: "headersResponse", value: { endOfStream: true } } } } },
      ]);
    }
  });

  test("streamedImmediateResponse with a body is a fault if Envoy's forward_rules hide :method, which may be HEAD", () => {
    expect(faultOf(streamedImmediateResponse(200, { chunks: ["a"] }), { headers: [], ...bodyModes("NONE") })).toContain(
      "streamed_response_impossible: ",
    );
    expect(outcomeOf(streamedImmediateResponse(200), { headers: [], ...bodyModes("NONE") }).answers).toHaveLength(1);
  });

  test.each(["BUFFERED", "STREAMED", "BUFFERED_PARTIAL", "GRPC"] as const)(
    "streamedImmediateResponse with a body is a fault in the request body mode %s",
    (mode) => {
      const effect = streamedImmediateResponse(200, { chunks: ["a"] });
      expect(faultOf(effect, asked(mode))).toContain(`streamed_response_impossible: `);
      expect(faultOf(effect, asked(mode))).toContain(`and has ${mode}`);
    },
  );

  test.each([
    ["a status below 200", streamedImmediateResponse(100), "status must be a whole number"],
    ["a body of a status without a body", streamedImmediateResponse(204, { chunks: ["a"] }), "status 204 has no body"],
    [
      "several values",
      streamedImmediateResponse(200, { headers: { a: ["1", "2"] } } as never),
      'header "a" has several',
    ],
    ["framing", streamedImmediateResponse(200, { headers: { "content-length": "1" } }), "so only the server sets it"],
    ["framing trailers", streamedImmediateResponse(200, { trailers: { te: "1" } }), "in trailers, header"],
    ["chunks that are text", streamedImmediateResponse(200, { chunks: "a" } as never), "must be an array"],
    ["a chunk that is a number", streamedImmediateResponse(200, { chunks: [5] } as never), "a chunk is a number"],
    ["unknown options", streamedImmediateResponse(200, { body: "a" } as never), '"body" is not an option'],
  ])("streamedImmediateResponse refuses %s", (_what, effect, message) => {
    expect(faultOf(effect, asked("NONE"))).toMatch(/^invalid_effect: .*streamedImmediateResponse: /);
    expect(faultOf(effect, asked("NONE"))).toContain(message);
  });

  test.each([{ headers: { "x-envoy-a": "1" } }, { chunks: ["a"], trailers: { "x-envoy-a": "1" } }])(
    "streamedImmediateResponse may not have headers that mutation_rules protect: %j",
    (options) => {
      const effect = streamedImmediateResponse(200, options);
      expect(faultOf(effect, bodyModes("NONE"))).toContain('mutation_not_allowed: processor "p", requestHeaders: ');
      const declared = { mutationRules: { allowEnvoy: true } };
      expect(outcomeOf(effect, { ...bodyModes("NONE"), declared }).fault).toBeUndefined();
    },
  );

  test("streamedImmediateResponse ends the transaction once, after all of its messages", () => {
    const processor = defineProcessor({
      name: "p",
      requestHeaders: () => streamedImmediateResponse(200, { chunks: ["a"] }),
    });
    const recorded = recordSession(processor);
    recorded.receive(
      headersOf("requestHeaders", [[":method", "GET"]], bodyModes("NONE")),
      headersOf("responseHeaders"),
    );
    expect(recorded.log).toEqual([
      "streamedImmediateResponse",
      "streamedImmediateResponse",
      "ended: immediate_response",
    ]);
  });
});

describe("dynamic metadata", () => {
  test("dynamic metadata is sent with the answer, by namespace; the later value of a key wins", () => {
    const effects = [
      setDynamicMetadata("a", { x: 1, y: [null, { z: "s" }] }),
      setDynamicMetadata("b", {}),
      setDynamicMetadata("a", { x: 2, gone: undefined } as never),
    ];
    for (const phase of ["requestHeaders", "responseHeaders", "requestTrailers", "responseTrailers"] as const) {
      const answer = answerOf(effects, { phase });
      expect(answer.response.case).toBe(phase);
      expect(answer.dynamicMetadata).toEqual({ a: { x: 2, y: [null, { z: "s" }] }, b: {} });
    }
  });

  test("dynamic metadata of composed processors is merged", () => {
    const part = (name: string, value: Record<string, string>) =>
      defineProcessor({ name, requestHeaders: () => setDynamicMetadata("n", value) });
    const recorded = recordSession(compose(part("a", { x: "a", y: "a" }), part("b", { y: "b" })));
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.answers[0]?.dynamicMetadata).toEqual({ n: { x: "a", y: "b" } });
  });

  test.each([
    ["a number that is not finite", { a: Number.NaN }, "has a number that is not finite"],
    ["a function", { a: () => 1 }, "has a function"],
    ["a bigint", { a: 1n }, "has a bigint"],
    ["a Map", new Map(), "must be a plain object"],
    ["a Map inside", { a: [new Map()] }, "has an object that is not plain"],
    ["an array instead of an object", [], "must be a plain object"],
    ["null", null, "must be a plain object"],
    ["a cycle", cycle(), "is nested more than 32 deep"],
  ])("dynamic metadata refuses %s", (_what, value, message) => {
    expect(faultOf(setDynamicMetadata("n", value as never))).toContain(`setDynamicMetadata: its value ${message}`);
  });

  test.each(["", 5, undefined])("dynamic metadata refuses the namespace %s", (namespace) => {
    expect(faultOf(setDynamicMetadata(namespace as never, {}))).toContain("its namespace must be a string");
    expect(faultOf(setTypedDynamicMetadata(namespace as never, packed("")))).toContain(
      "its namespace must be a string",
    );
  });

  test("dynamic metadata keeps a key that is __proto__", () => {
    const value = JSON.parse('{"__proto__":{"a":1}}') as never;
    expect(Object.keys(answerOf(setDynamicMetadata("n", value)).dynamicMetadata?.n ?? {})).toEqual(["__proto__"]);
  });

  test("dynamic metadata keeps a key that is problem", () => {
    const value = { problem: "the disk is full" };
    expect(answerOf(setDynamicMetadata("n", value)).dynamicMetadata).toEqual({ n: value });
  });

  test("dynamic metadata may be typed; the later value of a namespace wins", () => {
    const answer = answerOf([setTypedDynamicMetadata("n", packed("a")), setTypedDynamicMetadata("n", packed("b"))]);
    expect(answer.typedDynamicMetadata).toEqual({ n: packed("b") });
  });

  test("typed dynamic metadata keeps the bytes that it had when it was returned", () => {
    const buffered = packed("a");
    const effect = setTypedDynamicMetadata("n", buffered);
    const late = defineProcessor({ name: "late", requestHeaders: () => void buffered.value.fill(0) });
    const recorded = recordSession(compose(defineProcessor({ name: "early", requestHeaders: () => effect }), late));
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.answers[0]?.typedDynamicMetadata).toEqual({ n: packed("a") });
  });

  test("typed dynamic metadata has a value made by anyPack", () => {
    for (const value of [{}, null, "a", { $typeName: "google.protobuf.Any", typeUrl: "", value: bytes("") }])
      expect(faultOf(setTypedDynamicMetadata("n", value as never))).toContain("must be a google.protobuf.Any");
  });
});

describe("overrideMode", () => {
  const declared = { allowModeOverride: true };

  test("overrideMode repeats both body modes, and is sent with the other changes", () => {
    const effects = [setHeader("x-a", "1"), overrideMode({ requestBody: "STREAMED" })];
    const answer = answerOf(effects, { declared, ...bodyModes("NONE", "BUFFERED") });
    expect(answer.modeOverride).toMatchObject({ requestBodyMode: 1, responseBodyMode: 2, responseHeaderMode: 0 });
    expect(answer.response).toMatchObject({ value: { response: { headerMutation: { setHeaders: [{}] } } } });
  });

  test("overrideMode is a fault that names the way out if the operator declared nothing", () => {
    expect(faultOf(overrideMode({ requestBody: "STREAMED" }), bodyModes("NONE"))).toBe(
      'mode_override_not_allowed: processor "p", requestHeaders: overrideMode: Envoy\'s allow_mode_override is not declared; if the filter has it, declare allowModeOverride',
    );
  });

  test("overrideMode is not sent if it changes nothing, whatever is declared", () => {
    const { modeOverride } = answerOf(overrideMode({ requestBody: "NONE" }), bodyModes("NONE"));
    expect(modeOverride).toBeUndefined();
  });

  test.each([
    ["a mode that does not exist", { requestBody: "LOUD" }, "requestBody must be one of NONE, STREAMED"],
    ["GRPC, which Envoy has not", { requestBody: "GRPC" }, "requestBody must be one of"],
    ["a part that has no mode", { requestHeaders: "SKIP" }, '"requestHeaders" is not a mode'],
    [
      "full duplex without trailers",
      { requestBody: "FULL_DUPLEX_STREAMED", requestTrailers: "SKIP" },
      "needs requestTrailers SEND",
    ],
    ["no object", "STREAMED", "its modes must be an object"],
  ])("overrideMode refuses %s", (_what, modes, message) => {
    expect(faultOf(overrideMode(modes as never), { declared, ...bodyModes("NONE") })).toContain(message);
  });

  test("overrideMode of composed processors is one override, in which the later wins", () => {
    const part = (name: string, modes: Parameters<typeof overrideMode>[0]) =>
      defineProcessor({ name, requestHeaders: () => overrideMode(modes) });
    const chain = compose(
      part("a", { requestBody: "STREAMED", responseHeaders: "SKIP" }),
      part("b", { requestBody: "FULL_DUPLEX_STREAMED" }),
    );
    const recorded = recordSession(chain, { declaration: declareEnvoy(declared) });
    recorded.receive(headersOf("requestHeaders", [[":method", "GET"]], bodyModes("NONE")));
    expect(recorded.answers[0]?.modeOverride).toMatchObject({
      requestBodyMode: 4,
      requestTrailerMode: 1,
      responseHeaderMode: 2,
    });
  });

  test("overrideMode in observability mode does nothing", () => {
    expect(outcomeOf(overrideMode({ requestBody: "STREAMED" }), { observabilityMode: true }).fault).toBeUndefined();
  });
});

function cycle(): object {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

test("typed metadata that cannot be written is a fault, and only its fields are copied", () => {
  const any = { $typeName: "google.protobuf.Any", typeUrl: "a/b", value: new Uint8Array(1) };
  expect(faultOf(setTypedDynamicMetadata("ns", { ...any, typeUrl: Symbol("x") } as never))).toContain("anyPack()");
  const odd = { ...any, $unknown: [{ no: 1, wireType: 7, data: "x" }] };
  expect(answerOf(setTypedDynamicMetadata("ns", odd as never)).typedDynamicMetadata).toMatchObject({ ns: any });
});

test("bytes of a reply's header are checked as they are sent, whatever their iterator gives", () => {
  class Disguised extends Uint8Array {
    override *[Symbol.iterator](): ArrayIterator<number> {}
  }
  expect(faultOf(immediateResponse(403, { headers: { "x-a": new Disguised([0x0a]) } }))).toContain("control character");
});
