import { describe, expect, test } from "vitest";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import type { Effect } from "../../src/processor/effect.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { FaultError } from "../../src/protocol/fault.ts";
import { bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { nextTurn } from "./deferred.ts";
import { recordSession } from "./recorded-session.ts";

const SECRET = "s3cr3t";

/** A processor whose requestHeaders handler returns a value that its type forbids. */
function returning(value: () => unknown): Processor {
  return defineProcessor({ name: "bad", requestHeaders: () => value() as undefined });
}

async function faultOf(processor: Processor, ...pairs: readonly (readonly [string, string])[]) {
  const recorded = recordSession(processor);
  recorded.receive(headersOf("requestHeaders", pairs));
  recorded.session.finish();
  await nextTurn();
  expect(recorded.answers).toEqual([]);
  expect(recorded.ends).toHaveLength(1);
  return recorded.ends[0]?.fault;
}

const NOT_EFFECTS: readonly [string, () => unknown][] = [
  ["a bare object", () => ({ kind: "setHeader", name: "x-a", value: SECRET })],
  ["an array of bare objects", () => [{ kind: "setHeader", name: "x-a", value: SECRET }]],
  ["a nested array", () => [[setHeader("x-a", SECRET)]]],
  ["an array with a hole", () => [setHeader("x-a", SECRET), undefined]],
  ["null", () => null],
  ["a string", () => SECRET],
  ["a number", () => 5],
  ["a boolean", () => false],
  ["a symbol", () => Symbol(SECRET)],
  ["a function", () => () => setHeader("x-a", SECRET)],
  ["a rejected promise in an array", () => [Promise.reject(new Error(SECRET))]],
  ["a Map", () => new Map([["x-a", SECRET]])],
];

const WRONG_EFFECTS: readonly [string, () => unknown][] = [
  ["a framing header", () => setHeader("Content-Length", SECRET)],
  ["a control character", () => setHeader("x-a", `${SECRET}\r\n`)],
  ["a malformed name", () => setHeader("x a", SECRET)],
  ["a value that is a number", () => setHeader("x-a", 5 as never)],
  ["a value that is undefined", () => setHeader("x-a", undefined as never)],
  ["a name that is not a string", () => setHeader(5 as never, SECRET)],
  ["an immediate response below 200", () => immediateResponse(100)],
  ["two bodies", () => immediateResponse(200, { text: SECRET, json: SECRET } as never)],
  ["a body that is null", () => immediateResponse(200, { text: null } as never)],
  ["a body that is a number", () => immediateResponse(200, { text: 5 } as never)],
  ["JSON with a cycle", () => immediateResponse(200, { json: cycle() })],
  ["JSON with a BigInt", () => immediateResponse(200, { json: 1n })],
  ["JSON of a function", () => immediateResponse(200, { json: () => SECRET })],
  ["JSON that throws", () => immediateResponse(200, { json: { toJSON: () => thrown(new Error(SECRET)) } })],
  ["a control header in a reply", () => immediateResponse(200, { headers: { "x-a": `${SECRET}\n` } })],
  ["headers that are null", () => immediateResponse(200, { headers: null } as never)],
  ["headers that are a Map", () => immediateResponse(200, { headers: new Map([["x-a", SECRET]]) } as never)],
  ["details that are a number", () => immediateResponse(200, { details: 5 } as never)],
  ["an effect of a kind that this copy does not know", () => ({ ...setHeader("x-a", SECRET), kind: "setTrailers" })],
];

function cycle(): unknown {
  const array: unknown[] = [SECRET];
  array.push(array);
  return array;
}

/** Looks like a promise, and throws when its properties are read. */
function hostilePromise(): unknown {
  return new Proxy({}, { has: () => true, get: () => thrown(new Error(SECRET)) });
}

function thrown(cause: unknown): never {
  throw cause;
}

describe("fault invalid_effect", () => {
  test.each([...NOT_EFFECTS, ...WRONG_EFFECTS])(
    "a handler's result is fault invalid_effect if it is %s",
    async (_what, value) => {
      for (const processor of [returning(value), returning(async () => value())]) {
        const fault = await faultOf(processor);
        expect(fault).toMatchObject({ code: "invalid_effect", source: "handler", processor: "bad" });
        expect(fault?.message).toMatch(/^processor "bad", requestHeaders: /);
        expect(fault?.message).not.toContain(SECRET);
      }
    },
  );

  test.each([
    ["nothing for a value", () => setHeader("x-a", undefined as never), 'value of header "x-a" is undefined, must be'],
    ["an array for a value", () => setHeader("x-a", ["1"] as never), 'value of header "x-a" is an array, must be'],
    [
      "an array inside an array",
      () => [[setHeader("x-a", "1")]],
      "returned an array inside an array, which is not an effect",
    ],
    [
      "a promise inside an array",
      () => [Promise.resolve()],
      "returned a promise inside an array, which is not an effect",
    ],
    ["a generator", () => (function* () {})(), "returned an object, which is not an effect"],
  ])("fault invalid_effect describes the result: %s", async (_what, value, message) => {
    expect((await faultOf(returning(value)))?.message).toContain(message);
  });

  test("fault invalid_effect drops all effects of the same answer", async () => {
    const fault = await faultOf(returning(() => [setHeader("x-fine", "1"), setHeader("te", "1")]));
    expect(fault?.code).toBe("invalid_effect");
  });

  test("fault invalid_effect is one short line, however long the name", async () => {
    const fault = await faultOf(returning(() => setHeader("y".repeat(50_000), 5 as never)));
    expect(fault?.message.length).toBeLessThan(300);
  });

  test("effects behind an immediate response are not checked", () => {
    const recorded = recordSession(returning(() => [immediateResponse(403), "nonsense"]));
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
  });
});

describe("fault handler_threw", () => {
  test.each([
    ["an Error", new Error(SECRET)],
    ["a string", SECRET],
    ["undefined", undefined],
    ["null", null],
  ])("fault handler_threw has %s as cause and not in the message", async (_what, cause) => {
    for (const value of [() => thrown(cause), () => Promise.reject(cause)]) {
      const fault = await faultOf(returning(value));
      expect(fault).toEqual({
        kind: "fault",
        code: "handler_threw",
        source: "handler",
        message: 'processor "bad", requestHeaders: the handler threw',
        processor: "bad",
        cause,
      });
    }
  });

  test("a result that throws when it is read is fault handler_threw", async () => {
    const traps: (() => unknown)[] = [
      () => hostilePromise(),
      () => new Proxy({}, { has: () => thrown(new Error(SECRET)) }),
      () => Object.defineProperty({ ...setHeader("x-a", "1") }, "name", { get: () => thrown(new Error(SECRET)) }),
      () => new Proxy([], { get: () => thrown(new Error(SECRET)) }),
    ];
    for (const trap of traps) {
      for (const processor of [returning(trap), returning(async () => [trap()])]) {
        const fault = await faultOf(processor);
        expect(fault).toMatchObject({ source: "handler", processor: "bad" });
        expect(fault?.message).not.toContain(SECRET);
      }
    }
  });

  test("a thrown value that throws when it is read is fault handler_threw", async () => {
    const mark = { [Symbol.for("ext-proc.fault-error")]: true };
    const hostiles = [
      new Proxy({}, { has: () => thrown(new Error(SECRET)) }),
      Object.defineProperty(mark, "code", { get: () => thrown(new Error(SECRET)) }),
    ];
    for (const hostile of hostiles) {
      for (const value of [() => thrown(hostile), () => Promise.reject(hostile)])
        expect(await faultOf(returning(value))).toMatchObject({ code: "handler_threw", processor: "bad" });
    }
  });

  test("a state that cannot be made is fault handler_threw", async () => {
    const processor = defineProcessor({
      name: "stateful",
      state: (): number => thrown(new Error(SECRET)),
      requestHeaders: () => undefined,
    });
    expect(await faultOf(processor)).toMatchObject({ code: "handler_threw", processor: "stateful" });
  });

  test("a promise that rejects after its session ended is not an unhandled rejection", async () => {
    const recorded = recordSession(returning(() => Promise.reject(new Error(SECRET))));
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    await nextTurn();
    expect(recorded.log).toEqual(["ended: unanswered"]);
  });
});

describe("a FaultError that passes through a handler", () => {
  test("a FaultError is the fault that it names", async () => {
    const processor = defineProcessor({
      name: "auth",
      requestHeaders: (_h, tx) => void tx.request.one("authorization"),
    });
    const fault = await faultOf(processor, ["authorization", SECRET], ["authorization", SECRET]);
    expect(fault).toMatchObject({
      code: "header_ambiguous",
      source: "handler",
      processor: "auth",
      message: 'processor "auth", requestHeaders: header "authorization" came more than once',
    });
  });

  test("a handler may catch a FaultError", () => {
    const processor = defineProcessor({
      name: "auth",
      requestHeaders(_headers, tx): Effect<"requestHeaders"> | undefined {
        try {
          tx.request.one("authorization");
          return undefined;
        } catch (error) {
          return FaultError.is(error) ? immediateResponse(400) : undefined;
        }
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(
      headersOf("requestHeaders", [
        ["authorization", "a"],
        ["authorization", "b"],
      ]),
    );
    expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
  });

  test.each(["invented_later", "server_draining", "malformed_message"])(
    "a FaultError with code %s, which no function of the library raises for a handler, is fault handler_threw",
    async (code) => {
      const foreign = { [Symbol.for("ext-proc.fault-error")]: true, code, message: SECRET };
      expect(await faultOf(returning(() => thrown(foreign)))).toMatchObject({
        code: "handler_threw",
        source: "handler",
        message: 'processor "bad", requestHeaders: the handler threw',
      });
    },
  );
});

describe("a fault", () => {
  test("a fault ends its session once, and no message follows it", async () => {
    const recorded = recordSession(returning(() => thrown(new Error(SECRET))));
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    recorded.session.finish();
    recorded.session.cancel();
    recorded.session.shutDown();
    await nextTurn();
    expect(recorded.log).toEqual(["ended: handler_threw"]);
    expect(recorded.observed).toEqual(["envoy requestHeaders", "envoy ended: handler_threw"]);
  });

  test("a fault leaves other sessions of the same processor alone", async () => {
    const processor = defineProcessor({
      name: "picky",
      requestHeaders: (_headers, tx) => (tx.request.get("x-bad") ? thrown(new Error(SECRET)) : setHeader("x-ok", "1")),
    });
    const [good, bad] = [recordSession(processor), recordSession(processor)];
    bad.receive(headersOf("requestHeaders", [["x-bad", "1"]]));
    good.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    good.session.finish();
    expect(bad.log).toEqual(["ended: handler_threw"]);
    expect(good.log).toEqual(["requestHeaders", "requestBody", "ended: completed"]);
  });

  test("a fault of Envoy's names the phase", () => {
    const recorded = recordSession(defineProcessor({ name: "idle" }));
    recorded.receive(bodyOf("requestBody", "x"), headersOf("requestHeaders"));
    expect(recorded.log).toEqual(["requestBody", "ended: phase_out_of_order"]);
    expect(recorded.ends[0]?.fault?.message).toContain("requestHeaders");
  });

  test("a fault in a phase that waited behind an asynchronous handler still ends the session", async () => {
    for (const trailers of [
      () => thrown(new Error(SECRET)),
      () => immediateResponse(200, { headers: null } as never),
      () => hostilePromise() as undefined,
    ]) {
      const recorded = recordSession(
        defineProcessor({ name: "late", requestHeaders: async () => {}, requestTrailers: trailers }),
      );
      recorded.receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
      await nextTurn();
      expect(recorded.ends).toHaveLength(1);
      expect(recorded.ends[0]).toMatchObject({ result: "fault", fault: { source: "handler", processor: "late" } });
    }
  });
});
