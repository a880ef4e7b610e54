import { describe, expect, test } from "vitest";
import { compose, defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { appendHeader, immediateResponse, removeHeader, setHeader } from "../../src/processor/effects.ts";
import { headersOf, trailersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "../session/deferred.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

/** Records every call, and adds its name to `x-path`. */
function stamp(name: string, calls: string[] = [], asynchronous = false): Processor {
  const handler = (phase: string) => () => {
    calls.push(`${name} ${phase}`);
    const effect = appendHeader("x-path", name);
    return asynchronous ? nextTurn().then(() => effect) : effect;
  };
  return defineProcessor({
    name,
    requestHeaders: handler("requestHeaders"),
    requestTrailers: handler("requestTrailers"),
    responseHeaders: handler("responseHeaders"),
    responseTrailers: handler("responseTrailers"),
  });
}

describe("order of composed handlers", () => {
  test.each([false, true])(
    "composed handlers run in the given order on the request, and in reverse on the response (asynchronous: %s)",
    async (late) => {
      const calls: string[] = [];
      const recorded = recordSession(compose(stamp("a", calls, late), stamp("b", calls), stamp("c", calls, late)));
      recorded.receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
      await expect.poll(() => recorded.log).toHaveLength(2);
      recorded.receive(headersOf("responseHeaders"), trailersOf("responseTrailers"));
      await expect.poll(() => recorded.log).toHaveLength(4);
      expect(calls).toEqual(
        ["requestHeaders", "requestTrailers"]
          .flatMap((phase) => [`a ${phase}`, `b ${phase}`, `c ${phase}`])
          .concat(
            ["responseHeaders", "responseTrailers"].flatMap((phase) => [`c ${phase}`, `b ${phase}`, `a ${phase}`]),
          ),
      );
      const [request, response] = [
        ["x-path += a", "x-path += b", "x-path += c"],
        ["x-path += c", "x-path += b", "x-path += a"],
      ];
      expect(recorded.answers.map(changesOf)).toEqual([request, request, response, response]);
    },
  );

  test("asynchronous composed handlers run one after the other", async () => {
    const first = deferred();
    const calls: string[] = [];
    const waiting = defineProcessor({ name: "waiting", requestHeaders: () => first.promise });
    const recorded = recordSession(compose(waiting, stamp("b", calls)));
    recorded.receive(headersOf("requestHeaders"));
    await nextTurn();
    expect(calls).toEqual([]);
    first.resolve();
    await nextTurn();
    expect(calls).toEqual(["b requestHeaders"]);
    expect(recorded.answers.map(changesOf)).toEqual([["x-path += b"]]);
  });

  test("a composition of synchronous processors stays synchronous", () => {
    const recorded = recordSession(compose(stamp("a"), stamp("b")));
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.log).toEqual(["requestHeaders"]);
  });
});

describe("effects of composed processors", () => {
  const chain = compose(
    defineProcessor({ name: "set", requestHeaders: () => [setHeader("x-a", "1"), setHeader("x-b", "1")] }),
    defineProcessor({ name: "change", requestHeaders: () => [appendHeader("x-a", "2"), removeHeader("x-b")] }),
  );

  test("effects of composed processors become one mutation, in the order in which the handlers ran", () => {
    const recorded = recordSession(chain);
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.answers.map(changesOf)).toEqual([["-x-b", "x-a = 1", "x-a += 2"]]);
  });

  test("effects cannot be changed by a handler that sees them in a message or a head", () => {
    const writer = defineProcessor({
      name: "writer",
      requestHeaders(headers, tx) {
        tx.request.bytes("x-a")?.fill(0x0a);
        headers.headers?.headers.at(-1)?.rawValue.fill(0x0a);
      },
    });
    const { receive, answers } = recordSession(
      compose(defineProcessor({ name: "first", requestHeaders: () => setHeader("x-a", "1") }), writer),
    );
    receive(headersOf("requestHeaders"));
    expect(changesOf(answers[0])).toEqual(["x-a = 1"]);
  });

  test("effects hold the bytes that they had when they were returned", async () => {
    const scratch = new Uint8Array([0x61]);
    const recorded = recordSession(
      compose(
        defineProcessor({ name: "early", requestHeaders: () => setHeader("x-a", scratch) }),
        defineProcessor({
          name: "late",
          requestHeaders: async () => {
            await nextTurn();
            scratch.fill(0x0a);
          },
        }),
      ),
    );
    recorded.receive(headersOf("requestHeaders"));
    await nextTurn();
    await nextTurn();
    expect(changesOf(recorded.answers[0])).toEqual(["x-a = a"]);
  });

  test("the first immediate response wins: no handler behind it runs, and no effect before it is sent", () => {
    const calls: string[] = [];
    const recorded = recordSession(
      compose(
        stamp("before", calls),
        defineProcessor({ name: "no", requestHeaders: () => immediateResponse(403, { headers: { "x-by": "no" } }) }),
        stamp("behind", calls),
      ),
    );
    recorded.receive(headersOf("requestHeaders"));
    expect(calls).toEqual(["before requestHeaders"]);
    expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
    expect(changesOf(recorded.answers[0])).toEqual(["x-by = no"]);
  });

  test("the last processor runs first on the response, so its immediate response wins", () => {
    const reply = (name: string, status: number) =>
      defineProcessor({ name, responseHeaders: () => immediateResponse(status) });
    const recorded = recordSession(compose(reply("a", 501), reply("b", 502)));
    recorded.receive(headersOf("responseHeaders"));
    expect(recorded.answers[0]?.response).toMatchObject({ value: { status: { code: 502 } } });
  });

  test("a faulty effect names its processor, and no handler behind it runs", () => {
    const calls: string[] = [];
    const faulty = defineProcessor({ name: "faulty", requestHeaders: () => setHeader("te", "x") });
    const recorded = recordSession(compose(stamp("before", calls), faulty, stamp("behind", calls)));
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.ends[0]?.fault).toMatchObject({ code: "invalid_effect", processor: "faulty" });
    expect(calls).toEqual(["before requestHeaders"]);
  });
});

describe("composed handlers after Envoy has left", () => {
  test("composed handlers behind a waiting one do not run after Envoy has left", async () => {
    const first = deferred();
    const calls: string[] = [];
    const waiting = defineProcessor({ name: "waiting", requestHeaders: () => first.promise });
    const recorded = recordSession(compose(waiting, stamp("behind", calls)));
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    first.resolve();
    await nextTurn();
    expect(calls).toEqual([]);
    expect(recorded.log).toEqual(["ended: unanswered"]);
  });
});

describe("state of composed processors", () => {
  const counter = (name: string) =>
    defineProcessor({
      name,
      state: () => ({ calls: 0 }),
      requestHeaders: (_headers, tx) => setHeader(`x-${name}`, String(++tx.state.calls)),
      responseHeaders: (_headers, tx) => setHeader(`x-${name}`, String(++tx.state.calls)),
    });

  test("each processor has its own state for each transaction", () => {
    const chain = compose(counter("a"), counter("b"));
    for (let transaction = 0; transaction < 3; transaction++) {
      const recorded = recordSession(chain);
      recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
      expect(recorded.answers.map(changesOf)).toEqual([
        ["x-a = 1", "x-b = 1"],
        ["x-b = 2", "x-a = 2"],
      ]);
    }
  });

  test("a state is not made for a processor whose handlers never run", () => {
    const made: string[] = [];
    const lazy = (name: string) =>
      defineProcessor({ name, state: () => made.push(name), responseHeaders: () => undefined });
    const recorded = recordSession(compose(lazy("a"), stamp("b")));
    recorded.receive(headersOf("requestHeaders"));
    expect(made).toEqual([]);
    recorded.receive(headersOf("responseHeaders"));
    expect(made).toEqual(["a"]);
  });
});

describe("nested compositions", () => {
  test("nested compositions run as if they were written flat", () => {
    const calls: string[] = [];
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => stamp(name, calls)) as [
      Processor,
      Processor,
      Processor,
      Processor,
    ];
    const recorded = recordSession(compose(a, compose(b, compose(c)), d));
    recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(calls.map((call) => call[0]).join("")).toBe("abcddcba");
    expect(compose(a, compose(b, c)).name).toBe("a+b+c");
  });
});

describe("compose()", () => {
  test("compose() refuses two processors of one name, at any depth", () => {
    const message = 'compose: two processors are named "a"; rename one of them';
    expect(() => compose(stamp("a"), stamp("b"), stamp("a"))).toThrow(new TypeError(message));
    expect(() => compose(stamp("a"), compose(stamp("b"), stamp("a")))).toThrow(new TypeError(message));
  });

  test.each([
    undefined,
    null,
    5,
    "hello",
    {},
    { name: "bare", requestHeaders: () => undefined },
    () => undefined,
    [stamp("a")],
  ])("compose() refuses a value that is not a processor: %s", (stranger) => {
    expect(() => compose(stamp("a"), stranger as unknown as Processor)).toThrow(
      new TypeError("compose: argument 2 is not a processor; make one with defineProcessor"),
    );
  });

  test("compose() refuses an empty list", () => {
    expect(() => compose()).toThrow(new TypeError("compose: needs at least one processor"));
  });
});

test("compose() of one processor returns that processor", () => {
  const recorded = recordSession(compose(stamp("a")));
  recorded.receive(headersOf("requestHeaders"));
  expect(recorded.answers.map(changesOf)).toEqual([["x-path += a"]]);
});
