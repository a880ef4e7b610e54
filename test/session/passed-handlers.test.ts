import { describe, expect, test } from "vitest";
import { defineProcessor, type FaultPolicy, overrideMode } from "../../src/index.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import type { Origin } from "../../src/processor/transaction.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import type { HandlerPlace, UnenforcedReason } from "../../src/session/session-observer.ts";
import { bodyModes, bodyOf, type Envelope, type HeaderPairs, headersOf, trailersOf } from "../protocol/messages.ts";
import { recordSession } from "./recorded-session.ts";

const FROM_UPSTREAM: HeaderPairs = [
  [":status", "200"],
  ["date", "Mon, 30 Nov 2026 12:00:00 GMT"],
];
const SIGNS: HeaderPairs = [
  ["x-envoy-upstream-service-time", "1"],
  ["date", "Mon, 30 Nov 2026 12:00:00 GMT"],
  ["server", "auth"],
];
const FROM_ENVOY: HeaderPairs = [
  [":status", "403"],
  ["content-length", "19"],
  ["content-type", "text/plain"],
];

/** A session, and its reports of skipped handlers: `reason processor phase`. */
function watched(
  definition: Omit<Parameters<typeof defineProcessor>[0], "name">,
  origin: Origin = "envoy",
  shadow = false,
) {
  const told: string[] = [];
  const processor = defineProcessor({ name: "p", ...definition });
  const recorded = recordSession(processor, {
    origin,
    rules: runRules(processor, { shadow }),
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason: UnenforcedReason, _wanted, _origin, place?: HandlerPlace) =>
        told.push(`${reason} ${place?.processor} ${place?.phase}`),
      fault: ({ code, processor }, outcome) => told.push(`${code} ${processor} ${outcome}`),
    },
  });
  return { ...recorded, told };
}

const pending = () => new Promise<undefined>(() => undefined);
const nothing = () => undefined;
const DUPLEX = bodyModes("FULL_DUPLEX_STREAMED");

describe("a response whose request headers were skipped", () => {
  test.each([
    ["envoy", "phase_not_sent p requestHeaders"],
    ["open", "phase_not_sent p requestHeaders"],
    ["closed", "phase_not_sent p immediate_response"],
  ] as const)(
    "a response whose request headers were skipped is reported, and a fault under closed alone: %s",
    (onFault: FaultPolicy, expected) => {
      const { receive, told } = watched({ onFault, requestHeaders: nothing, responseHeaders: nothing });
      receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
      expect(told).toEqual([expected]);
    },
  );

  test.each(["x-envoy-upstream-service-time", "date", "server"])(
    "%s shows that a response comes from an upstream",
    (name) => {
      const { receive, told } = watched({ requestHeaders: nothing });
      receive(
        headersOf(
          "responseHeaders",
          [
            [":status", "200"],
            [name, "1"],
          ],
          bodyModes("NONE"),
        ),
      );
      expect(told).toHaveLength(1);
    },
  );

  test.each([
    ...[200, 201, 204, 206, 299, 101, 304].map((status) => [status, true] as const),
    ...[300, 301, 302, 303, 307, 308, 400, 401, 403, 407, 413, 429, 500, 502, 503, 599].map((s) => [s, false] as const),
  ])("a response comes from an upstream only with a status that no filter refuses with: %d", (status, isTold) => {
    const { receive, told } = watched({ onFault: "closed", requestHeaders: nothing });
    receive(headersOf("responseHeaders", [[":status", String(status)], ...SIGNS], bodyModes("NONE")));
    const early = watched({ onFault: "closed", requestHeaders: pending });
    early.receive(headersOf("requestHeaders", [], DUPLEX));
    early.receive(headersOf("responseHeaders", [[":status", String(status)], ...SIGNS]));
    expect([...told, ...early.told]).toHaveLength(isTold ? 2 : 0);
  });

  test("a response may come from a filter in front if it is a gRPC reply without a body", () => {
    const { receive, told } = watched({ onFault: "closed", requestHeaders: nothing });
    const refusal: HeaderPairs = [
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-status", "7"],
    ];
    receive(headersOf("responseHeaders", [...refusal, ...SIGNS], { ...bodyModes("NONE"), endOfStream: true }));
    expect(told).toEqual([]);
  });

  test("the type of a response shows that it comes from a gRPC server", () => {
    const { receive, told } = watched({ requestHeaders: nothing });
    receive(headersOf("responseHeaders", [["content-type", "application/grpc"]], bodyModes("NONE")));
    expect(told).toHaveLength(1);
  });

  test("no handler is passed over if none waits for the request", () => {
    const { receive, told } = watched({ onFault: "closed", responseHeaders: nothing });
    receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
    expect(told).toEqual([]);
  });

  test("no handler is passed over by a reply of Envoy or of a filter in front", () => {
    const { receive, told } = watched({ onFault: "closed", requestHeaders: nothing });
    receive(headersOf("responseHeaders", FROM_ENVOY, bodyModes("NONE")));
    receive(headersOf("responseHeaders", [[":status", "200"]], { endOfStream: true }));
    expect(told.filter((line) => !line.startsWith("phase_out"))).toEqual([]);
  });

  test("no handler is passed over on the way over HTTP, which joins no calls", () => {
    const { receive, told } = watched({ onFault: "closed", requestHeaders: nothing }, "http_service");
    receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
    expect(told).toEqual([]);
  });

  test("a response whose request headers were skipped is counted without a fault in shadow mode, and not reported if Envoy only watches", () => {
    const shadow = watched({ onFault: "closed", requestHeaders: nothing }, "envoy", true);
    shadow.receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
    expect([shadow.ends, shadow.told]).toEqual([[], ["phase_not_sent p requestHeaders"]]);
    const { receive, told, ends } = watched({ onFault: "closed", requestHeaders: nothing });
    receive(headersOf("responseHeaders", FROM_UPSTREAM, { observabilityMode: true }));
    expect([ends, told]).toEqual([[], []]);
  });
});

describe("a body that comes without its headers", () => {
  test("a body that comes without its headers is reported with each handler of the headers", () => {
    const { receive, told } = watched({ requestHeaders: nothing, responseHeaders: nothing });
    receive(bodyOf("requestBody", "a", { endOfStream: true }, bodyModes("STREAMED")));
    receive(bodyOf("responseBody", "a", { endOfStream: true }));
    expect(told).toEqual(["phase_not_sent p requestHeaders", "phase_not_sent p responseHeaders"]);
  });

  test("a body that comes without its headers is reported once, whatever follows", () => {
    const { receive, told } = watched({ requestHeaders: nothing });
    receive(bodyOf("requestBody", "a", {}, bodyModes("STREAMED")), bodyOf("requestBody", "b"));
    receive(trailersOf("requestTrailers"), headersOf("responseHeaders", FROM_UPSTREAM));
    expect(told).toEqual(["phase_not_sent p requestHeaders"]);
  });
});

test("a required body handler whose direction is not sent at all is fault body_required_unseen", () => {
  const { receive, told } = watched({ requestBody: { read: "inspect", required: true } });
  receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
  expect(told).toEqual(["body_required_unseen p grpc_error"]);
});

test("a body handler whose direction is not sent at all is counted as body_not_sent", () => {
  const { receive, told } = watched({ onFault: "closed", requestBody: { read: "inspect" } });
  receive(headersOf("responseHeaders", FROM_UPSTREAM, bodyModes("NONE")));
  expect(told).toEqual(["body_not_sent p requestBody"]);
});

describe("a response before the answer to its request", () => {
  test.each([
    ["envoy", "grpc_error"],
    ["open", "passed"],
    ["closed", "immediate_response"],
  ] as const)(
    "a response before the answer to its request is fault answer_not_awaited, by policy: %s",
    (onFault: FaultPolicy, outcome) => {
      const { receive, told } = watched({ onFault, requestHeaders: pending });
      receive(headersOf("requestHeaders", [], DUPLEX), bodyOf("requestBody", "a"));
      receive(headersOf("responseHeaders", FROM_UPSTREAM));
      expect(told).toEqual([`answer_not_awaited p ${outcome}`]);
    },
  );

  test("a response before the answer to its request is fault answer_not_awaited if the answer waits for the whole body", () => {
    const { receive, told } = watched({ requestBody: { read: "whole", handle: nothing } });
    receive(headersOf("requestHeaders", [], DUPLEX), bodyOf("requestBody", "a"));
    receive(headersOf("responseHeaders", FROM_UPSTREAM));
    expect(told).toEqual(["answer_not_awaited p grpc_error"]);
  });

  test("a response before the answer to its request is not a fault if Envoy replies by itself, such as after a timeout", () => {
    const { receive, told } = watched({ onFault: "closed", requestHeaders: pending });
    receive(headersOf("requestHeaders", [], DUPLEX), headersOf("responseHeaders", FROM_ENVOY));
    expect(told).toEqual([]);
  });

  test("a response before the answer to its request is not a fault if the upstream answers early, before it has all of a streamed body", () => {
    for (const mode of ["STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
      const { receive, told } = watched({ onFault: "closed", requestBody: { read: "chunks", chunk: pending } });
      receive(headersOf("requestHeaders", [], bodyModes(mode)), bodyOf("requestBody", "a"));
      receive(headersOf("responseHeaders", FROM_UPSTREAM));
      expect(told).toEqual([]);
    }
  });
});

describe("a message ahead of an answer of its own direction", () => {
  const later: readonly (readonly [string, Envelope, boolean])[] = [
    ["BUFFERED", bodyModes("BUFFERED"), true],
    ["STREAMED", bodyModes("STREAMED"), true],
    ["NONE", bodyModes("NONE"), true],
    ["FULL_DUPLEX_STREAMED", DUPLEX, false],
    ["untold", {}, false],
    [
      "STREAMED without a wait",
      { protocolConfig: { ...bodyModes("STREAMED").protocolConfig, sendBodyWithoutWaitingForHeaderResponse: true } },
      false,
    ],
  ];
  test.each(later)(
    "a message ahead of an answer of its own direction is a fault only if its mode waits: %s",
    (_name, envelope, isFault) => {
      const { receive, told } = watched({ requestHeaders: pending });
      receive(headersOf("requestHeaders", [], envelope), bodyOf("requestBody", "a"));
      expect(told).toEqual(isFault ? ["answer_not_awaited p grpc_error"] : []);
    },
  );

  test("a message ahead of an answer passes behind the waiting answers under the policy open", () => {
    const { receive, told, log } = watched({ onFault: "open", requestHeaders: pending });
    receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")), bodyOf("requestBody", "a"));
    expect([told, log]).toEqual([["answer_not_awaited p passed"], ["requestHeaders", "requestBody"]]);
  });
});

describe("a stream that Envoy no longer needs", () => {
  const begin = (definition: Parameters<typeof watched>[0], headers: Envelope = bodyModes("NONE")) => {
    const recorded = watched(definition);
    recorded.receive(headersOf("requestHeaders", [], headers));
    return recorded;
  };

  test("the early end of a stream shows that response headers were skipped", () => {
    const { session, told, log } = begin({ requestHeaders: nothing, responseHeaders: nothing });
    session.cancel(true);
    expect([told, log.at(-1)]).toEqual([["phase_not_sent p responseHeaders"], "ended: completed"]);
  });

  test("the early end of a stream is a fault that comes too late under closed", () => {
    const { session, told, log } = begin({ onFault: "closed", responseHeaders: nothing });
    session.cancel(true);
    expect([told, log.at(-1)]).toEqual([["phase_not_sent p too_late"], "ended: phase_not_sent"]);
  });

  test("no handler is passed over if the client left, or none waits for the response", () => {
    const left = begin({ onFault: "closed", responseHeaders: nothing });
    left.session.finish();
    left.session.cancel(true);
    const lost = begin({ onFault: "closed", responseHeaders: nothing });
    lost.session.cancel();
    const other = begin({ onFault: "closed", requestHeaders: nothing });
    other.session.cancel(true);
    expect([...left.told, ...lost.told, ...other.told]).toEqual([]);
  });

  test.each(["STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"] as const)(
    "the early end of a stream shows nothing about the response while the request body in %s lacks its end: its client may have left",
    (mode) => {
      const definition = { onFault: "closed", requestBody: { read: "inspect" }, responseHeaders: nothing } as const;
      const { session, told } = begin(definition, bodyModes(mode, "NONE"));
      session.cancel(true);
      expect(told).toEqual([]);
    },
  );

  test("no handler is passed over if the processor itself asked for no response headers", () => {
    const recorded = recordSession(
      defineProcessor({
        name: "p",
        requestHeaders: () => overrideMode({ responseHeaders: "SKIP" }),
        responseHeaders: nothing,
      }),
      { declaration: declareEnvoy({ allowModeOverride: true }) },
    );
    recorded.receive(headersOf("requestHeaders", [], bodyModes("NONE")));
    recorded.session.cancel(true);
    expect(recorded.log).toEqual(["requestHeaders", "ended: completed"]);
  });

  test("the early end of a stream shows that a gRPC body was not sent in GRPC mode", () => {
    const recorded = watched({ requestBody: { read: "chunks", chunk: nothing } });
    recorded.receive(headersOf("requestHeaders", [["content-type", "application/grpc"]], bodyModes("GRPC")));
    recorded.receive(headersOf("responseHeaders", FROM_UPSTREAM));
    recorded.session.cancel(true);
    expect(recorded.told).toEqual(["body_not_sent p requestBody"]);
  });
});

test("a transaction that ends unanswered names the handler that it waited for", () => {
  const { receive, session, ends } = watched({ requestHeaders: pending });
  receive(headersOf("requestHeaders", [], bodyModes("NONE")));
  session.cancel();
  expect(ends).toMatchObject([{ result: "unanswered", waiting: { processor: "p", phase: "requestHeaders" } }]);
});

describe("a filter that ignores mode overrides", () => {
  const LENGTH: HeaderPairs = [["content-length", "4"]];
  const inspect = { read: "inspect", chunk: nothing } as const;
  const overriding = (definition: Omit<Parameters<typeof defineProcessor>[0], "name">) => {
    const told: string[] = [];
    const recorded = recordSession(defineProcessor({ name: "p", ...definition }), {
      declaration: declareEnvoy({ allowModeOverride: true }),
      observer: {
        message: () => undefined,
        ended: () => undefined,
        unenforced: (reason, wanted, _origin, place) =>
          told.push(`${reason} ${wanted}${place === undefined ? "" : ` of ${place.processor}`}`),
        fault: ({ code }, outcome) => told.push(`${code} ${outcome}`),
      },
    });
    return { ...recorded, told };
  };
  const REQUEST_BODY = "override_ignored requestBody";
  const RESPONSE_BODY = "override_ignored responseBody";

  test.each(["finish", "cancel"] as const)(
    "a filter that ignores overrides shows when a response came without the request body that an override asked for: %s",
    (end) => {
      const { receive, session, told } = overriding({ requestBody: { ...inspect, required: true } });
      receive(headersOf("requestHeaders", LENGTH, bodyModes("NONE", "NONE")));
      receive(headersOf("responseHeaders", FROM_UPSTREAM));
      session[end]();
      expect(told).toEqual([`${REQUEST_BODY} of p`]);
    },
  );

  test("a filter that ignores overrides shows when the transaction ended without the response body that an override asked for", () => {
    const { receive, session, told } = overriding({ responseBody: inspect });
    receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes("NONE", "NONE") }));
    receive(headersOf("responseHeaders", [...FROM_UPSTREAM, ...LENGTH]));
    session.finish();
    expect(told).toEqual([`${RESPONSE_BODY} of p`]);
  });

  test.each(["STREAMED", "BUFFERED", "BUFFERED_PARTIAL"] as const)(
    "a filter that ignores overrides shows once by a body that an override asked Envoy not to send, in %s, and the body passes",
    (configured) => {
      const { receive, answers, told } = overriding({ requestHeaders: () => overrideMode({ requestBody: "NONE" }) });
      receive(headersOf("requestHeaders", LENGTH, bodyModes(configured, "NONE")));
      receive(bodyOf("requestBody", "abcd"));
      receive(bodyOf("requestBody", "", { endOfStream: true }));
      expect(answers.map(({ response }) => response.case)).toEqual(["requestHeaders", "requestBody", "requestBody"]);
      expect(told).toEqual([REQUEST_BODY]);
    },
  );

  test("a filter that ignores overrides shows by response headers that an override asked Envoy not to send", () => {
    const { receive, told } = overriding({ requestHeaders: () => overrideMode({ responseHeaders: "SKIP" }) });
    receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes("NONE", "NONE") }));
    receive(headersOf("responseHeaders", FROM_UPSTREAM));
    expect(told).toEqual(["override_ignored responseHeaders"]);
  });

  test("an ignored override does not show by a body without bytes, of unknown length, or that came", () => {
    for (const [length, pieces] of [
      [[["content-length", "0"]], []],
      [[], []],
      [LENGTH, [bodyOf("requestBody", "abcd", { endOfStream: true })]],
    ] as const) {
      const { receive, session, told } = overriding({ requestBody: inspect });
      receive(headersOf("requestHeaders", length, bodyModes("NONE", "NONE")));
      for (const piece of pieces) receive(piece);
      receive(headersOf("responseHeaders", FROM_UPSTREAM, { endOfStream: true }));
      session.finish();
      expect(told).toEqual([]);
    }
  });

  test("an ignored override does not show if Envoy does not send the response", () => {
    for (const isDone of [true, false]) {
      const { receive, session, told } = overriding({ requestBody: inspect });
      receive(headersOf("requestHeaders", LENGTH, bodyModes("NONE", "NONE")));
      if (isDone) session.cancel(true);
      else session.finish();
      expect(told).toEqual([]);
    }
  });

  test("an ignored override does not show if the client left before a response came", () => {
    const { receive, session, told } = overriding({ requestBody: inspect });
    receive(headersOf("requestHeaders", LENGTH, bodyModes("NONE", "NONE")));
    session.cancel();
    expect(told).toEqual([]);
  });
});
