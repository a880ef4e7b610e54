import { describe, expect, test } from "vitest";
import {
  ProcessingMode_BodySendMode,
  ProcessingMode_HeaderSendMode,
} from "../../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Answer, CONTINUE } from "../../../src/protocol/answers/answer.ts";
import { toImmediateResponse } from "../../../src/protocol/answers/immediate-response.ts";
import { declareEnvoy } from "../../../src/protocol/envoy-declaration.ts";
import { MessageExchange } from "../../../src/protocol/exchange/exchange.ts";
import type { ModeOverride } from "../../../src/protocol/mode-override.ts";
import type { HeaderPhase } from "../../../src/protocol/phase.ts";
import { bodyModes, bodyOf, type Envelope, type HeaderPairs, headersOf, trailersOf } from "../messages.ts";

const LENGTH: HeaderPairs = [["content-length", "4"]];

function open(
  declared: Parameters<typeof declareEnvoy>[0] = { allowModeOverride: true, bufferLimitBytes: 1024 },
): MessageExchange {
  return new MessageExchange({ declaration: declareEnvoy(declared) });
}

function answered(exchange: MessageExchange, message: ProcessingRequest, answer: Answer = CONTINUE) {
  const accepted = exchange.accept(message);
  if (accepted.kind !== "message") throw new Error(JSON.stringify(accepted));
  return exchange.answer(accepted.message, answer);
}

function overridden(exchange: MessageExchange, phase: HeaderPhase, message: ProcessingRequest, wanted: ModeOverride) {
  const accepted = exchange.accept(message);
  if (accepted.kind !== "message") throw new Error(JSON.stringify(accepted));
  const modeOverride = exchange.resolveModeOverride(wanted, phase);
  if (modeOverride === undefined) throw new Error("it changes nothing");
  if ("problem" in modeOverride) throw new Error(modeOverride.problem);
  return exchange.answer(accepted.message, { ...CONTINUE, modeOverride });
}

function removedBy([answer]: readonly ProcessingResponse[]): readonly string[] {
  const { response } = answer ?? {};
  if (response?.case !== "requestHeaders" && response?.case !== "responseHeaders") throw new Error("no headers");
  return response.value.response?.headerMutation?.removeHeaders ?? [];
}

describe("an override", () => {
  test("an override is in force from the answer that carries it", () => {
    const exchange = open();
    overridden(exchange, "requestHeaders", headersOf("requestHeaders", [], bodyModes("NONE")), {
      requestBody: "FULL_DUPLEX_STREAMED",
    });
    expect(exchange.modes).toEqual({ requestBody: "FULL_DUPLEX_STREAMED", responseBody: "NONE" });
    expect(answered(exchange, bodyOf("requestBody", "x"))[0]?.response).toMatchObject({
      value: { response: { bodyMutation: { mutation: { case: "streamedResponse" } } } },
    });
  });

  test("an override repeats what an earlier one changed, since Envoy starts from its configuration", () => {
    const exchange = open();
    overridden(exchange, "requestHeaders", headersOf("requestHeaders", [], bodyModes("NONE")), {
      responseHeaders: "SEND",
      responseTrailers: "SEND",
      requestTrailers: "SEND",
    });
    const [again] = overridden(exchange, "responseHeaders", headersOf("responseHeaders"), { responseBody: "STREAMED" });
    expect(again?.modeOverride).toMatchObject({
      responseBodyMode: ProcessingMode_BodySendMode.STREAMED,
      responseHeaderMode: ProcessingMode_HeaderSendMode.SEND,
      requestTrailerMode: ProcessingMode_HeaderSendMode.SEND,
      responseTrailerMode: ProcessingMode_HeaderSendMode.SEND,
    });
  });

  test.each(["STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
    "an override to %s removes content-length",
    (requestBody) => {
      const message = headersOf("requestHeaders", LENGTH, bodyModes("NONE"));
      expect(removedBy(overridden(open(), "requestHeaders", message, { requestBody }))).toEqual(["content-length"]);
    },
  );

  test("an override of the response body, made on the request, removes the response's content-length", () => {
    const exchange = open();
    const message = headersOf("requestHeaders", LENGTH, bodyModes("NONE"));
    expect(removedBy(overridden(exchange, "requestHeaders", message, { responseBody: "STREAMED" }))).toEqual([]);
    expect(removedBy(answered(exchange, headersOf("responseHeaders", LENGTH)))).toEqual(["content-length"]);
  });

  test("an override removes content-length if Envoy did not send its body modes", () => {
    const message = headersOf("requestHeaders", LENGTH);
    const wanted = { requestBody: "STREAMED", responseBody: "NONE" } as const;
    expect(removedBy(overridden(open(), "requestHeaders", message, wanted))).toEqual(["content-length"]);
  });

  test.each<[string, Envelope & { readonly endOfStream?: boolean }, ModeOverride]>([
    ["if there is no body", { endOfStream: true, ...bodyModes("NONE") }, { requestBody: "STREAMED" }],
    ["if Envoy was configured to stream, and does", bodyModes("BUFFERED_PARTIAL", "NONE"), { requestBody: "STREAMED" }],
    ["to NONE", bodyModes("BUFFERED", "NONE"), { requestBody: "NONE" }],
    ["to BUFFERED", bodyModes("NONE"), { requestBody: "BUFFERED" }],
  ])("an override leaves content-length %s", (_what, envelope, wanted) => {
    const message = headersOf("requestHeaders", LENGTH, envelope);
    expect(removedBy(overridden(open(), "requestHeaders", message, wanted))).toEqual([]);
  });
});

describe("fault override_ignored", () => {
  const toBuffered = () => {
    const exchange = open();
    const message = headersOf("requestHeaders", LENGTH, bodyModes("NONE"));
    overridden(exchange, "requestHeaders", message, { requestBody: "BUFFERED" });
    return exchange;
  };

  test("an override to BUFFERED is fault override_ignored if the response comes before the body", () => {
    expect(toBuffered().accept(headersOf("responseHeaders"))).toMatchObject({
      kind: "fault",
      code: "override_ignored",
      source: "envoy",
    });
  });

  test("an override to BUFFERED is fault override_ignored if a second piece of the body comes", () => {
    const exchange = toBuffered();
    answered(exchange, bodyOf("requestBody", "abcd"));
    expect(exchange.accept(bodyOf("requestBody", "", { endOfStream: true }))).toMatchObject({
      code: "override_ignored",
    });
  });

  test("an override to BUFFERED is fault override_ignored if the first piece of the body is shorter than its content-length", () => {
    expect(toBuffered().accept(bodyOf("requestBody", "ab"))).toMatchObject({ code: "override_ignored" });
  });

  test("an override to BUFFERED that Envoy obeyed is not a fault", () => {
    const exchange = toBuffered();
    answered(exchange, bodyOf("requestBody", "abcd"));
    answered(exchange, trailersOf("requestTrailers"));
    expect(answered(exchange, headersOf("responseHeaders"))).toHaveLength(1);
  });

  test("an override to BUFFERED is not reported as ignored if no body had to come", () => {
    const exchange = open();
    overridden(
      exchange,
      "requestHeaders",
      headersOf("requestHeaders", [["content-length", "0"]], bodyModes("STREAMED", "NONE")),
      {
        requestBody: "BUFFERED",
      },
    );
    expect(exchange.accept(headersOf("responseHeaders")).kind).toBe("message");
  });
});

describe("an extension of a timeout", () => {
  const granted = { maxMessageTimeoutMs: 1_000 };

  test("an extension of a timeout is a separate message, which carries nothing else", () => {
    const exchange = open(granted);
    exchange.accept(headersOf("requestHeaders"));
    const { $typeName, response, overrideMessageTimeout, ...rest } = exchange.extendTimeout(
      "request",
      750,
    ) as ProcessingResponse;
    expect([$typeName, response.case]).toEqual(["envoy.service.ext_proc.v3.ProcessingResponse", undefined]);
    expect(overrideMessageTimeout).toMatchObject({ seconds: 0n, nanos: 750_000_000 });
    expect([rest.dynamicMetadata, rest.modeOverride, rest.typedDynamicMetadata]).toEqual([undefined, undefined, {}]);
    expect(exchange.unanswered).toBe(1);
  });

  test("an extension of a timeout is granted once for each message that waits", () => {
    const exchange = open(granted);
    const accepted = exchange.accept(headersOf("requestHeaders"));
    expect(exchange.extendTimeout("request", 500)).toBeDefined();
    expect(exchange.extendTimeout("request", 500)).toBeUndefined();
    if (accepted.kind === "message") exchange.answer(accepted.message, CONTINUE);
    expect(exchange.extendTimeout("request", 500)).toBeUndefined();
    exchange.accept(bodyOf("requestBody", "x"));
    expect(exchange.extendTimeout("request", 1_000)?.overrideMessageTimeout).toMatchObject({ seconds: 1n, nanos: 0 });
  });

  test("an extension of a timeout names no direction, so it counts for both directions if both wait", () => {
    const exchange = open(granted);
    exchange.accept(bodyOf("requestBody", "x"));
    exchange.accept(headersOf("responseHeaders"));
    expect(exchange.extendTimeout("response", 500)).toBeDefined();
    expect(exchange.extendTimeout("request", 500)).toBeUndefined();
  });

  test.each([
    ["more than is declared", granted, 1_001, {}],
    ["less than a millisecond", granted, 0.5, {}],
    ["no number", granted, Number.NaN, {}],
    ["undeclared", {}, 500, {}],
    ["without a timer", granted, 500, bodyModes("FULL_DUPLEX_STREAMED")],
    ["while Envoy only watches", granted, 500, { observabilityMode: true }],
  ])("an extension of a timeout is not granted: %s", (_what, declared, ms, envelope) => {
    const exchange = open(declared);
    exchange.accept(headersOf("requestHeaders", [], envelope));
    expect(exchange.extendTimeout("request", ms)).toBeUndefined();
  });
});

describe("an immediate response", () => {
  const obstacleAfter = (exchange: MessageExchange, ...messages: readonly ProcessingRequest[]) => {
    for (const message of messages) answered(exchange, message);
    return exchange.immediateObstacle;
  };
  const response = (envelope: Envelope = {}) => headersOf("responseHeaders", [], envelope);

  test("an immediate response reaches the client until the client has the response headers", () => {
    expect(obstacleAfter(open())).toBeUndefined();
    expect(obstacleAfter(open(), headersOf("requestHeaders"), bodyOf("requestBody", "x"))).toBeUndefined();
    const waiting = open();
    waiting.accept(response(bodyModes("STREAMED")));
    expect(waiting.immediateObstacle).toBeUndefined();
    expect(obstacleAfter(open(), response(bodyModes("STREAMED")))).toBe("response_begun");
    expect(obstacleAfter(open(), response(bodyModes("NONE")))).toBe("response_begun");
  });

  test.each(["BUFFERED", "BUFFERED_PARTIAL"] as const)(
    "an immediate response reaches the client at a %s body too",
    (mode) => {
      const exchange = open();
      expect(obstacleAfter(exchange, response(bodyModes(mode)))).toBeUndefined();
      const body = exchange.accept(bodyOf("responseBody", "x", { endOfStream: true }));
      expect(exchange.immediateObstacle).toBeUndefined();
      if (body.kind === "message") exchange.answer(body.message, CONTINUE);
      expect(exchange.immediateObstacle).toBe("response_begun");
    },
  );

  test("an immediate response reaches the client at a full-duplex body only while the headers' answer is held back", () => {
    const exchange = open();
    const headers = exchange.accept(response(bodyModes("FULL_DUPLEX_STREAMED")));
    exchange.accept(bodyOf("responseBody", "x"));
    expect(exchange.immediateObstacle).toBeUndefined();
    if (headers.kind === "message") exchange.answer(headers.message, CONTINUE);
    expect(exchange.immediateObstacle).toBe("response_begun");
  });

  test("an immediate response reaches the client behind the answer to a piece of a full-duplex body, until the headers have their answer", () => {
    const exchange = open();
    const headers = exchange.accept(response(bodyModes("FULL_DUPLEX_STREAMED")));
    answered(exchange, bodyOf("responseBody", "x"));
    expect(exchange.immediateObstacle).toBeUndefined();
    if (headers.kind === "message") exchange.answer(headers.message, CONTINUE);
    expect(exchange.immediateObstacle).toBe("response_begun");
  });

  test("an immediate response does not reach the client after a response without a body, or if headers were skipped", () => {
    const bodiless = headersOf("responseHeaders", [], { endOfStream: true, ...bodyModes("BUFFERED") });
    expect(obstacleAfter(open(), bodiless)).toBe("response_begun");
    const skipped = open();
    skipped.accept(bodyOf("responseBody", "x", {}, bodyModes("STREAMED")));
    expect(skipped.immediateObstacle).toBe("response_begun");
    const trailers = open();
    trailers.accept(trailersOf("responseTrailers", [], bodyModes("BUFFERED")));
    expect(trailers.immediateObstacle).toBe("response_begun");
  });

  test("an immediate response does not reach the client if the operator disabled it, nor twice, nor from an observer", () => {
    expect(open({ disableImmediateResponse: true }).immediateObstacle).toBe("disabled");
    const answer = toImmediateResponse({ status: 403 });
    if ("problem" in answer) throw new Error(answer.problem);
    const exchange = open();
    expect(exchange.canStillPass).toBe(true);
    answered(exchange, headersOf("requestHeaders"), { kind: "immediate", responses: [answer] });
    expect([exchange.immediateObstacle, exchange.canStillPass]).toEqual(["answered", false]);
    expect(obstacleAfter(open(), headersOf("requestHeaders", [], { observabilityMode: true }))).toBe("observed");
  });
});
