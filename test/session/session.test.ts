import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse, removeHeader, setHeader } from "../../src/processor/effects.ts";
import { PHASES } from "../../src/protocol/phase.ts";
import { bodyModes, bodyOf, headersOf, plainMessage, trailersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "./deferred.ts";
import { changesOf, recordSession } from "./recorded-session.ts";

const idle = defineProcessor({ name: "idle" });

describe("a session of synchronous handlers", () => {
  const stamp = defineProcessor({
    name: "stamp",
    requestHeaders: () => setHeader("x-phase", "requestHeaders"),
    requestTrailers: () => setHeader("x-phase", "requestTrailers"),
    responseHeaders: () => [setHeader("x-phase", "responseHeaders"), removeHeader("server")],
    responseTrailers: () => [],
  });

  test("a session of synchronous handlers answers within receive()", () => {
    const recorded = recordSession(stamp);
    for (const [index, phase] of PHASES.entries()) {
      recorded.receive(plainMessage(phase));
      expect(recorded.answers).toHaveLength(index + 1);
    }
    expect(recorded.answers.map(changesOf)).toEqual([
      ["x-phase = requestHeaders"],
      [],
      ["x-phase = requestTrailers"],
      ["-server", "x-phase = responseHeaders"],
      [],
      [],
    ]);
  });

  test("a session of synchronous handlers ends within finish(), as completed", () => {
    const recorded = recordSession(stamp);
    recorded.receive(plainMessage("requestHeaders"));
    recorded.session.finish();
    expect(recorded.log).toEqual(["requestHeaders", "ended: completed"]);
  });

  test("a session without a message ends as completed", () => {
    const recorded = recordSession(stamp);
    recorded.session.finish();
    expect(recorded.log).toEqual(["ended: completed"]);
  });
});

describe("a processor without handlers", () => {
  test("a processor without handlers lets every phase pass", () => {
    const recorded = recordSession(idle);
    recorded.receive(...PHASES.map((phase) => plainMessage(phase)));
    expect(recorded.log).toEqual(PHASES);
  });

  test("a processor without handlers gives full-duplex bodies back", () => {
    const recorded = recordSession(idle);
    recorded.receive(
      headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")),
      bodyOf("requestBody", new Uint8Array(150_000), { endOfStream: true }),
    );
    expect(recorded.log).toEqual(["requestHeaders", "requestBody", "requestBody", "requestBody"]);
  });
});

describe("asynchronous handlers", () => {
  test("asynchronous handlers keep the order of their direction", async () => {
    const headersDone = deferred();
    const processor = defineProcessor({
      name: "slow-start",
      requestHeaders: async () => {
        await headersDone.promise;
        return setHeader("x-late", "1");
      },
      requestTrailers: () => setHeader("x-trailer", "1"),
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "a"), bodyOf("requestBody", "b"));
    recorded.receive(trailersOf("requestTrailers"));
    await nextTurn();
    expect(recorded.log).toEqual([]);
    expect(recorded.session.backlog).toBe(3);
    headersDone.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders", "requestBody", "requestBody", "requestTrailers"]);
    expect(recorded.answers.map(changesOf)).toEqual([["x-late = 1"], [], [], ["x-trailer = 1"]]);
    expect(recorded.session.backlog).toBe(0);
  });

  test("asynchronous handlers do not hold up the other direction", async () => {
    const never = deferred();
    const processor = defineProcessor({ name: "stuck", requestHeaders: () => never.promise });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    recorded.receive(headersOf("responseHeaders"), bodyOf("responseBody", "y"), trailersOf("responseTrailers"));
    expect(recorded.log).toEqual(["responseHeaders", "responseBody", "responseTrailers"]);
    never.resolve();
    await nextTurn();
    expect(recorded.log.slice(3)).toEqual(["requestHeaders", "requestBody"]);
  });

  test("asynchronous handlers of both directions may overtake each other", async () => {
    const [request, response] = [deferred(), deferred()];
    const processor = defineProcessor({
      name: "both",
      requestHeaders: () => request.promise,
      responseHeaders: () => response.promise,
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    response.resolve();
    await nextTurn();
    request.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["responseHeaders", "requestHeaders"]);
  });

  test("asynchronous handlers of one direction run one after the other", async () => {
    const steps: string[] = [];
    const processor = defineProcessor({
      name: "steps",
      requestHeaders: async () => {
        steps.push("headers begin");
        await nextTurn();
        steps.push("headers end");
      },
      requestTrailers: async () => {
        steps.push("trailers begin");
        await nextTurn();
        steps.push("trailers end");
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
    recorded.session.finish();
    await expect.poll(() => recorded.log).toEqual(["requestHeaders", "requestTrailers", "ended: completed"]);
    expect(steps).toEqual(["headers begin", "headers end", "trailers begin", "trailers end"]);
  });

  test("asynchronous handlers may return any thenable, even one that settles twice", async () => {
    const settleTwice = (resolve: (value: unknown) => void) => {
      resolve(setHeader("x-a", "first"));
      resolve(setHeader("x-a", "second"));
    };
    const thenable: unknown = new Proxy({}, { has: () => true, get: () => settleTwice });
    const processor = defineProcessor({ name: "thenable", requestHeaders: () => thenable as Promise<undefined> });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    await nextTurn();
    expect(recorded.answers.map(changesOf)).toEqual([["x-a = first"]]);
  });

  test("asynchronous handlers that resolve with nothing let the message pass", async () => {
    const processor = defineProcessor({ name: "async-nothing", requestHeaders: async () => {} });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders"]);
  });
});

describe("messages without a phase", () => {
  test("messages without a phase pass without handlers, also while a handler runs", async () => {
    const handler = deferred();
    const recorded = recordSession(defineProcessor({ name: "slow", requestHeaders: () => handler.promise }));
    recorded.receive(headersOf("requestHeaders"), create(ProcessingRequestSchema, { clientWindowUpdate: {} }));
    expect(recorded.session.backlog).toBe(0);
    handler.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders"]);
  });
});

describe("an immediate response", () => {
  test("an immediate response ends the session at once, and later messages are ignored", () => {
    const recorded = recordSession(defineProcessor({ name: "no", requestHeaders: () => immediateResponse(403) }));
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    recorded.session.finish();
    expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
  });

  test("an immediate response drops waiting messages, and the answer of the other direction", async () => {
    const [request, response] = [deferred(), deferred()];
    const processor = defineProcessor({
      name: "no",
      requestHeaders: () => request.promise,
      responseHeaders: async () => {
        await response.promise;
        return immediateResponse(502);
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    response.resolve();
    await nextTurn();
    request.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
    expect(recorded.session.backlog).toBe(0);
  });

  test.each(["requestTrailers", "responseHeaders", "responseTrailers"] as const)(
    "an immediate response may come in %s",
    (phase) => {
      const recorded = recordSession(defineProcessor({ name: "no", [phase]: () => immediateResponse(500) }));
      recorded.receive(plainMessage(phase));
      expect(recorded.log).toEqual(["immediateResponse", "ended: immediate_response"]);
    },
  );
});

describe("observability mode", () => {
  const observed = { observabilityMode: true };

  test("observability mode runs handlers and writes nothing", () => {
    const seen: string[] = [];
    const processor = defineProcessor({
      name: "watch",
      requestHeaders: (_headers, tx) => {
        seen.push(`request ${tx.observability}`);
        return immediateResponse(403);
      },
      responseHeaders: () => {
        seen.push("response");
        return setHeader("x-a", "1");
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(...PHASES.map((phase) => plainMessage(phase, observed)));
    recorded.session.finish();
    expect(seen).toEqual(["request true", "response"]);
    expect(recorded.log).toEqual(["ended: completed"]);
  });

  test("observability mode has no waiting answers at shutdown or cancel, even while messages wait for a handler", () => {
    for (const act of ["shutDown", "cancel"] as const) {
      const recorded = recordSession(defineProcessor({ name: "slow", requestHeaders: () => deferred().promise }));
      recorded.receive(headersOf("requestHeaders", [], observed), bodyOf("requestBody", "x", {}, observed));
      recorded.session[act]();
      expect(recorded.log).toEqual(["ended: completed"]);
    }
  });
});

test("the observer gets every message that opens a phase, and the end", () => {
  const recorded = recordSession(idle, { origin: "debug" });
  recorded.receive(headersOf("requestHeaders", [], { endOfStream: true }), trailersOf("requestTrailers"));
  recorded.session.finish();
  expect(recorded.observed).toEqual(["debug requestHeaders", "debug ended: completed"]);
});
