import { describe, expect, test } from "vitest";
import {
  compose,
  defineProcessor,
  type FaultPolicy,
  type Processor,
  type ProcessorDefinition,
} from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { type OperatorOptions, runRules } from "../../src/processor/run-rules.ts";
import { fault } from "../../src/protocol/fault.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "./deferred.ts";
import { recordSession } from "./recorded-session.ts";

function run(processor: Processor, options: OperatorOptions = {}) {
  const told: string[] = [];
  const recorded = recordSession(processor, {
    rules: runRules(processor, options),
    observer: {
      message: () => undefined,
      ended: () => undefined,
      fault: ({ code, processor: name }, outcome) => told.push(`${code} ${name ?? "none"}: ${outcome}`),
      unenforced: (reason, wanted) => told.push(`${reason}: ${wanted}`),
    },
  });
  return { ...recorded, told };
}

/** Fails in one phase. */
function failing(onFault: FaultPolicy, handlers: Partial<ProcessorDefinition<undefined>> = {}): Processor {
  return defineProcessor({ name: "failing", onFault, requestHeaders: fail, ...handlers });
}

function fail(): never {
  throw new Error("s3cret");
}

const ALL = [
  headersOf("requestHeaders"),
  bodyOf("requestBody", "x"),
  trailersOf("requestTrailers"),
  headersOf("responseHeaders"),
];

describe("the policy envoy", () => {
  test("the policy envoy ends the stream with the fault", () => {
    const { receive, log, ends, told } = run(failing("envoy"));
    receive(...ALL);
    expect(log).toEqual(["ended: handler_threw"]);
    expect(ends[0]?.error?.code).toBe("handler_threw");
    expect(told).toEqual(["handler_threw failing: grpc_error"]);
  });
});

describe("the policy closed", () => {
  test("the policy closed gives the client a 500 without details, and ends the stream without an error", () => {
    const { receive, answers, ends, told } = run(failing("closed"));
    receive(...ALL);
    expect(answers).toHaveLength(1);
    expect(answers[0]?.response).toMatchObject({
      case: "immediateResponse",
      value: { status: { code: 500 }, body: new Uint8Array(), details: "ext_proc_fault_handler_threw" },
    });
    expect(JSON.stringify(answers[0]?.response)).not.toContain("s3cret");
    expect(ends).toMatchObject([{ result: "fault", fault: { code: "handler_threw" } }]);
    expect(ends[0]?.error).toBeUndefined();
    expect(told).toEqual(["handler_threw failing: immediate_response"]);
  });

  test("the policy closed answers in the response headers too, and in a body that Envoy buffers", () => {
    const buffered = run(failing("closed", { requestHeaders: undefined, responseTrailers: undefined }));
    buffered.receive(headersOf("requestHeaders", [], bodyModes("NONE", "BUFFERED")), headersOf("responseHeaders"));
    buffered.session.shutDown();
    expect(buffered.log).toEqual(["requestHeaders", "responseHeaders", "ended: completed"]);

    const early = run(failing("closed", { requestHeaders: undefined, responseHeaders: fail }));
    early.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(early.log).toEqual(["requestHeaders", "immediateResponse", "ended: handler_threw"]);
  });

  test.each([
    [
      "response headers are out",
      {},
      { requestHeaders: undefined, responseTrailers: fail },
      [headersOf("responseHeaders"), trailersOf("responseTrailers")],
    ],
    [
      "Envoy takes no immediate response",
      { envoy: { disableImmediateResponse: true } },
      {},
      [headersOf("requestHeaders")],
    ],
  ] as const)("the policy closed can only send a gRPC error if %s", (_where, options, handlers, messages) => {
    const { receive, log, ends, told } = run(failing("closed", handlers), options);
    receive(...messages);
    expect(log.at(-1)).toBe("ended: handler_threw");
    expect(log).not.toContain("immediateResponse");
    expect(ends[0]?.error?.code).toBe("handler_threw");
    expect(told).toEqual(["handler_threw failing: fail_closed_by_error"]);
  });

  test("the policy closed answers 503 if the server drains or is not ready", () => {
    const going = run(failing("closed", { requestHeaders: () => new Promise<undefined>(() => undefined) }));
    going.receive(headersOf("requestHeaders"));
    going.session.shutDown();
    expect(going.answers[0]?.response).toMatchObject({ value: { status: { code: 503 }, grpcStatus: { status: 14 } } });
    expect(going.told).toEqual(["server_draining none: immediate_response"]);

    const processor = failing("closed");
    const unready = fault("not_ready", "its setup is not done", { processor: "failing" });
    const early = recordSession(processor, { setup: { unready } });
    early.receive(headersOf("requestHeaders"));
    expect(early.answers[0]?.response).toMatchObject({ value: { status: { code: 503 } } });
  });

  test("the policy closed answers a message that cannot be read with a 500", () => {
    const { session, log, told } = run(failing("closed"));
    session.fail(fault("malformed_message", "no ProcessingRequest"));
    expect(log).toEqual(["immediateResponse", "ended: malformed_message"]);
    expect(told).toEqual(["malformed_message none: immediate_response"]);
  });
});

describe("the policy open", () => {
  test("the policy open lets the message and everything after it pass without handlers", () => {
    let ran = 0;
    const { receive, session, log, ends, told } = run(failing("open", { responseHeaders: () => void ran++ }));
    receive(...ALL);
    session.finish();
    expect(log).toEqual([
      "requestHeaders",
      "requestBody",
      "requestTrailers",
      "responseHeaders",
      "ended: handler_threw",
    ]);
    expect([ran, ends[0]?.result, ends[0]?.error]).toEqual([0, "fault", undefined]);
    expect(told).toEqual(["handler_threw failing: passed"]);
  });

  test("the policy open drops what other handlers wanted before in the same phase", () => {
    const before = defineProcessor({ name: "before", onFault: "open", requestHeaders: () => setHeader("x-a", "1") });
    const { receive, answers } = run(compose(before, failing("open")));
    receive(headersOf("requestHeaders"));
    expect(answers).toMatchObject([{ response: { case: "requestHeaders", value: {} } }]);
    expect(answers[0]?.response.value).not.toHaveProperty("response");
  });

  test("the policy open lets waiting messages of the other direction pass too", async () => {
    const handler = deferred();
    const processor = failing("open", { requestHeaders: () => handler.promise, responseHeaders: fail });
    const { receive, log, session } = run(processor);
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    expect(log).toEqual(["responseHeaders", "requestHeaders", "requestBody"]);
    expect(session.late?.count).toBe(1);
    handler.resolve();
    await nextTurn();
    expect(log).toHaveLength(3);
    expect(session.late).toBeUndefined();
  });

  test("a second fault ends the stream, and the transaction is recorded with the first", () => {
    const { receive, ends, told } = run(failing("open"));
    receive(headersOf("requestHeaders"), trailersOf("requestTrailers"), headersOf("responseHeaders"));
    receive(headersOf("responseHeaders"));
    expect(ends).toMatchObject([{ fault: { code: "handler_threw" }, error: { code: "phase_out_of_order" } }]);
    expect(told).toEqual(["handler_threw failing: passed", "phase_out_of_order none: fail_open_impossible"]);
  });

  test("the policy open gives back bytes that Envoy keeps no copy of", () => {
    const { receive, answers } = run(failing("open"));
    receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", "bytes"));
    expect(answers[1]?.response).toMatchObject({
      value: { response: { bodyMutation: { mutation: { case: "streamedResponse" } } } },
    });
  });

  test("a server that drains lets waiting messages pass under the policy open, and ends", () => {
    const { receive, session, log, ends } = run(
      failing("open", { requestHeaders: () => new Promise<undefined>(() => undefined) }),
    );
    receive(headersOf("requestHeaders"));
    session.shutDown();
    expect(log).toEqual(["requestHeaders", "ended: server_draining"]);
    expect(ends[0]?.error).toBeUndefined();
  });

  test.each([
    [
      "a message that cannot be read",
      ({ session }: ReturnType<typeof run>) => session.fail(fault("message_too_large", "too large")),
      "message_too_large",
    ],
    [
      "a message out of order",
      ({ receive }: ReturnType<typeof run>) => receive(bodyOf("requestBody", "x"), headersOf("requestHeaders")),
      "phase_out_of_order",
    ],
    [
      "a server that goes in the middle of a body that Envoy keeps no copy of",
      ({ receive, session }: ReturnType<typeof run>) => {
        receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
        session.shutDown();
      },
      "server_draining",
    ],
  ] as const)("%s has no answer that lets it pass, so the policy open sends a gRPC error", (_what, act, code) => {
    const recorded = run(failing("open", { requestHeaders: undefined }));
    act(recorded);
    expect(recorded.ends[0]?.error?.code).toBe(code);
    expect(recorded.told).toEqual([`${code} none: fail_open_impossible`]);
  });
});

describe("the applicable policy", () => {
  test("the applicable policy is that of the processor that caused the fault", () => {
    const processor = compose(failing("open"), defineProcessor({ name: "guard", onFault: "closed" }));
    const { receive, told } = run(processor);
    receive(headersOf("requestHeaders"));
    expect(told).toEqual(["handler_threw failing: passed"]);
  });

  describe("the policies of handlers that would be skipped", () => {
    const guard = (handlers: Partial<ProcessorDefinition<undefined>>) =>
      defineProcessor({ name: "guard", onFault: "closed", ...handlers });
    const deny = () => immediateResponse(403);
    const refused = ["immediateResponse", "ended: handler_threw"];

    test.each([
      ["behind the one to blame", [failing("open"), guard({ requestHeaders: deny })]],
      [
        "before it, whose changes would be dropped",
        [guard({ requestHeaders: () => setHeader("x-user", "") }), failing("open")],
      ],
      ["in a phase to come", [failing("open"), guard({ responseHeaders: deny })]],
    ] as const)("the strictest policy of the handlers that would be skipped applies: %s", (_where, processors) => {
      const { receive, log, told } = run(compose(...processors));
      receive(headersOf("requestHeaders"));
      expect(log).toEqual(refused);
      expect(told).toEqual(["handler_threw failing: immediate_response"]);
    });

    test("the policy of a handler at work in the other direction applies", async () => {
      const { receive, log } = run(
        compose(
          guard({ requestHeaders: () => new Promise<undefined>(() => undefined) }),
          failing("open", { requestHeaders: undefined, responseHeaders: fail }),
        ),
      );
      receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
      expect(log).toEqual(refused);
    });

    test("the policy of a handler that has done its work does not apply", () => {
      const { receive, log } = run(
        compose(
          guard({ requestHeaders: () => setHeader("x-user", "") }),
          failing("open", { requestHeaders: undefined, responseHeaders: fail }),
        ),
      );
      receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
      expect(log).toEqual(["requestHeaders", "responseHeaders"]);
    });

    test("the policy of a handler whose message cannot come does not apply", () => {
      const { receive, log } = run(compose(failing("open"), guard({ requestTrailers: deny })));
      receive(headersOf("requestHeaders", [], { endOfStream: true }));
      expect(log).toEqual(["requestHeaders"]);
    });
  });

  test("the strictest policy of all processors applies if no processor caused the fault", () => {
    const processor = compose(failing("open"), defineProcessor({ name: "guard", onFault: "closed" }));
    const { session, told } = run(processor);
    session.fail(fault("malformed_message", "no ProcessingRequest"));
    expect(told).toEqual(["malformed_message none: immediate_response"]);
  });

  test.each([
    ["open", "open", "passed"],
    ["open", "envoy", "grpc_error"],
    ["open", "closed", "immediate_response"],
    ["envoy", "open", "grpc_error"],
    ["envoy", "closed", "immediate_response"],
    ["closed", "open", "immediate_response"],
    ["closed", "envoy", "immediate_response"],
    [undefined, undefined, "grpc_error"],
  ] as const)("an author's %s and an operator's %s give the stricter policy", (own, operator, outcome) => {
    const processor = defineProcessor({ name: "failing", onFault: own, requestHeaders: fail });
    for (const options of [{ onFault: operator }, { processors: { failing: { onFault: operator } } }]) {
      const { receive, told } = run(processor, options);
      receive(headersOf("requestHeaders"));
      expect(told).toEqual([`handler_threw failing: ${outcome}`]);
    }
  });
});

describe("faults in observability mode", () => {
  test("a fault in observability mode affects no message under any policy, and is counted as not enforced", () => {
    for (const policy of ["open", "envoy", "closed"] as const) {
      const { receive, log, ends, told } = run(failing(policy));
      receive(headersOf("requestHeaders", [], { observabilityMode: true }));
      expect(log).toEqual(["ended: handler_threw"]);
      expect(ends[0]).toMatchObject({ observed: true });
      expect(ends[0]?.error).toBeUndefined();
      expect(told).toEqual(["handler_threw failing: observed", "observability_mode: fault handler_threw"]);
    }
  });

  test("effects in observability mode are counted as not enforced, with names and without values", () => {
    const processor = defineProcessor({
      name: "eager",
      requestHeaders: () => setHeader("x-a", "s3cret"),
      responseHeaders: () => immediateResponse(503, { text: "s3cret", headers: { "x-b": "s3cret" } }),
      responseTrailers: () => undefined,
    });
    const { receive, told, answers } = run(processor);
    for (const message of [headersOf("requestHeaders"), headersOf("responseHeaders"), trailersOf("responseTrailers")])
      receive({ ...message, observabilityMode: true });
    expect(answers).toEqual([]);
    expect(told).toEqual([
      "observability_mode: set x-a",
      expect.stringMatching(/^observability_mode: set .*x-b.*; immediateResponse 503$/),
    ]);
  });
});

test("an immediate response after response headers left is sent, and counted as too late", () => {
  const processor = defineProcessor({ name: "late", responseTrailers: () => immediateResponse(503) });
  const { receive, log, told } = run(processor);
  receive(headersOf("responseHeaders"), trailersOf("responseTrailers"));
  expect(log).toEqual(["responseHeaders", "immediateResponse", "ended: immediate_response"]);
  expect(told).toEqual(["immediate_response_too_late: immediateResponse"]);
});

test("an immediate response is a fault if Envoy takes none, and is counted as not enforced", () => {
  const processor = defineProcessor({ name: "guard", onFault: "closed", requestHeaders: () => immediateResponse(403) });
  const { receive, log, told } = run(processor, { envoy: { disableImmediateResponse: true } });
  receive(headersOf("requestHeaders"));
  expect(log).toEqual(["ended: immediate_response_disabled"]);
  expect(told).toEqual([
    "immediate_response_disabled guard: fail_closed_by_error",
    "immediate_response_disabled: immediateResponse",
  ]);
});

test("an immediate response to a held full-duplex body is not too late, even after pieces came", () => {
  const processor = defineProcessor({
    name: "guard",
    responseBody: { read: "whole", handle: () => immediateResponse(502) },
  });
  for (const pieces of [[], ["a"], ["a", "b", "c"]]) {
    const { receive, log, told } = run(processor);
    receive(headersOf("responseHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
    receive(...pieces.map((piece) => bodyOf("responseBody", piece)));
    receive(bodyOf("responseBody", "end", { endOfStream: true }));
    expect(log).toEqual(["immediateResponse", "ended: immediate_response"]);
    expect(told).toEqual([]);
  }
});
