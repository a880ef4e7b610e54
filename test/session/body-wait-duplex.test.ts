import { describe, expect, test } from "vitest";
import { appendChunk, defineProcessor, type FaultPolicy, overrideMode } from "../../src/index.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { EMPTY_REQUEST_AFTER_MS } from "../../src/session/body-wait.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { ManualTimers } from "./manual-timers.ts";
import { recordSession } from "./recorded-session.ts";

const WAIT_MS = 5000;
const DECLARED = { allowModeOverride: true, overriddenBodyTimeoutMs: WAIT_MS } as const;
const whole = { read: "text", handle: () => undefined } as const;
const tailed = { read: "chunks", chunk: () => undefined, end: () => appendChunk("!") } as const;

type Direction = "request" | "response";

interface Waiting {
  readonly handler?: object;
  readonly more?: object;
  readonly onFault?: FaultPolicy;
}

/** A session that requested a body of unknown length in FULL_DUPLEX_STREAMED. */
function waiting(direction: Direction, { handler = whole, more = {}, onFault = "envoy" }: Waiting = {}) {
  const timers = new ManualTimers();
  const processor = defineProcessor({ name: "p", onFault, [`${direction}Body`]: handler, ...more } as never);
  const recorded = recordSession(processor, { declaration: declareEnvoy(DECLARED), timers });
  const none = bodyModes("NONE", "NONE");
  if (direction === "request") recorded.receive(headersOf("requestHeaders", [], none));
  else {
    recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...none }));
    recorded.receive(headersOf("responseHeaders", []));
  }
  return { ...recorded, timers, asked: recorded.answers.at(-1)?.modeOverride };
}

describe("a request body under an override to FULL_DUPLEX_STREAMED", () => {
  test.each([
    ["a handler that reads text", whole],
    ["a handler that reads chunks", tailed],
  ])("an answer to trailers for %s releases a waiting request once nothing came for 1 s", (_reads, handler) => {
    const { timers, answers, ends, asked } = waiting("request", { handler });
    expect(asked).toMatchObject({ requestBodyMode: 4, requestTrailerMode: 1, responseHeaderMode: 1 });
    timers.advance(EMPTY_REQUEST_AFTER_MS - 1);
    expect(answers).toHaveLength(1);
    timers.advance(1);
    expect(answers.slice(1).map(({ response }) => response.case)).toEqual(["requestTrailers"]);
    timers.advance(1_000_000);
    expect(answers).toHaveLength(2);
    expect(ends).toEqual([]);
  });

  test("the handler still sees a request body that comes after the answer that released the request", () => {
    const seen: string[] = [];
    const handler = { read: "text", handle: (text: string) => void seen.push(text) };
    const { timers, receive, answers } = waiting("request", { handler });
    timers.advance(EMPTY_REQUEST_AFTER_MS);
    receive(bodyOf("requestBody", "late ", {}));
    receive(bodyOf("requestBody", "body", { endOfStream: true }));
    expect(seen).toEqual(["late body"]);
    expect(answers.at(-1)?.response.case).toBe("requestBody");
  });

  test("a waiting request is not released while a handler holds the thread, since the body may have come unread", () => {
    const { timers, answers } = waiting("request");
    timers.hold(EMPTY_REQUEST_AFTER_MS + 500);
    timers.advance(0);
    timers.hold(300);
    timers.advance(0);
    expect(answers).toHaveLength(1);
    timers.advance(99);
    expect(answers).toHaveLength(1);
    timers.advance(1);
    expect(answers.slice(1).map(({ response }) => response.case)).toEqual(["requestTrailers"]);
  });

  test("a waiting request is not released if its body came while a handler held the thread", () => {
    const { timers, receive, answers } = waiting("request");
    timers.hold(EMPTY_REQUEST_AFTER_MS + 500);
    timers.advance(0);
    receive(bodyOf("requestBody", "a", {}));
    const count = answers.length;
    timers.advance(WAIT_MS);
    expect(answers).toHaveLength(count);
  });

  test.each([
    ["a piece", () => bodyOf("requestBody", "a", {})],
    ["an empty piece", () => bodyOf("requestBody", "", { endOfStream: true })],
    ["trailers", () => trailersOf("requestTrailers", [])],
  ])("a waiting request is not released if %s came", (_what, message) => {
    const { timers, receive, answers } = waiting("request");
    receive(message());
    const count = answers.length;
    timers.advance(WAIT_MS);
    expect(answers).toHaveLength(count);
  });

  test("a waiting request is not released if the response came: Envoy does not hang then, and may have ignored the override", () => {
    const { timers, receive, answers } = waiting("request");
    receive(headersOf("responseHeaders", [], { endOfStream: false }));
    const count = answers.length;
    timers.advance(WAIT_MS);
    expect(answers).toHaveLength(count);
  });

  test.each([
    ["its response headers are not sent", { requestHeaders: () => overrideMode({ responseHeaders: "SKIP" }) }],
    ["a handler wants its trailers", { requestTrailers: () => undefined }],
  ])("a request body that does not come is fault body_stalled, with status 408, if %s", (_why, more) => {
    const { timers, answers, ends } = waiting("request", { more, onFault: "closed" });
    timers.advance(WAIT_MS - 1);
    expect(answers).toHaveLength(1);
    timers.advance(1);
    expect(ends[0]?.fault).toMatchObject({ code: "body_stalled" });
    expect(answers.at(-1)?.response).toMatchObject({ case: "immediateResponse", value: { status: { code: 408 } } });
  });
});

/** Responses that are requested in FULL_DUPLEX_STREAMED: their trailers are announced. */
function waitingResponse(handler: object, onFault: FaultPolicy = "envoy") {
  const timers = new ManualTimers();
  const told: string[] = [];
  const recorded = recordSession(defineProcessor({ name: "p", onFault, responseBody: handler } as never), {
    declaration: declareEnvoy(DECLARED),
    timers,
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason, wanted, _origin, place) =>
        void told.push(`${reason} ${wanted} ${place?.processor} ${place?.setting}`),
    },
  });
  recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes("NONE", "NONE") }));
  recorded.receive(headersOf("responseHeaders", [["trailer", "x-sum"]]));
  return { ...recorded, timers, told, asked: recorded.answers.at(-1)?.modeOverride };
}

describe("a response body under an override to FULL_DUPLEX_STREAMED", () => {
  test.each<FaultPolicy>(["open", "envoy", "closed"])(
    "a response body of which nothing comes is fault body_stalled, with status 504, under onFault %s for a handler that needs the whole body",
    (onFault) => {
      const { timers, answers, ends, asked } = waitingResponse(whole, onFault);
      expect(asked).toMatchObject({ responseBodyMode: 4, responseTrailerMode: 1 });
      timers.advance(WAIT_MS);
      expect(ends[0]?.fault).toMatchObject({ code: "body_stalled", message: expect.stringContaining("is empty") });
      expect(answers.at(-1)?.response).toMatchObject({ case: "immediateResponse", value: { status: { code: 504 } } });
    },
  );

  test("a response body of which nothing comes is counted for a handler of pieces, naming what to change, and is still handled if it comes", () => {
    const { timers, told, receive, answers, ends } = waitingResponse(tailed);
    timers.advance(WAIT_MS);
    expect(told).toEqual([expect.stringMatching(/^override_ignored responseBody p .*configure FULL_DUPLEX_STREAMED/)]);
    expect(ends).toEqual([]);
    receive(bodyOf("responseBody", "late", { endOfStream: true }));
    expect(answers.at(-1)?.response).toMatchObject({
      value: { response: { bodyMutation: { mutation: { value: { endOfStream: true } } } } },
    });
  });
});

test("a request that only an effect asked for in FULL_DUPLEX_STREAMED is counted if nothing comes, since it may hang", () => {
  const timers = new ManualTimers();
  const told: string[] = [];
  const processor = defineProcessor({
    name: "p",
    requestHeaders: () => overrideMode({ requestBody: "FULL_DUPLEX_STREAMED" }),
  });
  const { receive, ends } = recordSession(processor, {
    declaration: declareEnvoy(DECLARED),
    timers,
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason, wanted) => void told.push(`${reason} ${wanted}`),
    },
  });
  receive(headersOf("requestHeaders", [], bodyModes("NONE", "NONE")));
  timers.advance(WAIT_MS);
  expect(told).toEqual(["override_ignored requestBody"]);
  expect(ends).toEqual([]);
});

describe("the mode for a response of unknown length", () => {
  const STREAMED = 1;
  const FULL_DUPLEX_STREAMED = 4;

  test.each([
    ["STREAMED with its trailers, for a handler of the whole body", whole, [], true, STREAMED],
    ["STREAMED with its trailers, for a handler with a tail", tailed, [], true, STREAMED],
    [
      "STREAMED, for a handler of the whole body that has a coding",
      whole,
      [["content-encoding", "gzip"]],
      true,
      STREAMED,
    ],
    ["full duplex, for a tail behind a coding", tailed, [["content-encoding", "gzip"]], true, FULL_DUPLEX_STREAMED],
    ["full duplex, if trailers are announced", whole, [["trailer", "x-sum"]], true, FULL_DUPLEX_STREAMED],
    ["full duplex, if it is gRPC", whole, [["content-type", "application/grpc"]], true, FULL_DUPLEX_STREAMED],
    [
      "full duplex, if only that is allowed",
      whole,
      [],
      [{ requestBodyMode: "NONE", responseBodyMode: "FULL_DUPLEX_STREAMED", responseTrailerMode: "SEND" }],
      FULL_DUPLEX_STREAMED,
    ],
    [
      "full duplex, if STREAMED is allowed without trailers alone",
      whole,
      [],
      [
        { requestBodyMode: "NONE", responseBodyMode: "STREAMED" },
        { requestBodyMode: "NONE", responseBodyMode: "FULL_DUPLEX_STREAMED", responseTrailerMode: "SEND" },
      ],
      FULL_DUPLEX_STREAMED,
    ],
  ] as const)("a response of unknown length is asked for in %s", (_what, handler, headers, allowed, mode) => {
    const recorded = recordSession(defineProcessor({ name: "p", responseBody: handler } as never), {
      declaration: declareEnvoy({ allowModeOverride: true, allowedOverrideModes: allowed === true ? [] : allowed }),
    });
    recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes("NONE", "NONE") }));
    recorded.receive(headersOf("responseHeaders", headers as never));
    expect(recorded.answers.at(-1)?.modeOverride).toMatchObject({ responseBodyMode: mode, responseTrailerMode: 1 });
  });

  test("a response of unknown length is asked for in full duplex if failure_mode_allow is declared, since Envoy would send the rest of a failed streamed body", () => {
    const declaration = declareEnvoy({ allowModeOverride: true, failureModeAllow: true });
    const recorded = recordSession(defineProcessor({ name: "p", responseBody: whole }), { declaration });
    recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes("NONE", "NONE") }));
    recorded.receive(headersOf("responseHeaders", []));
    expect(recorded.answers.at(-1)?.modeOverride?.responseBodyMode).toBe(FULL_DUPLEX_STREAMED);
  });
});
