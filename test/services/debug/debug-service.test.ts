import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ProcessingRequestSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import { hello } from "../../../src/builtin/hello.ts";
import { defineProcessor, type Processor } from "../../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../../src/processor/effects.ts";
import { PHASES } from "../../../src/protocol/phase.ts";
import { MAX_DEBUG_MESSAGES } from "../../../src/services/debug/debug-service.ts";
import type { ExternalProcessorOptions } from "../../../src/services/process/external-processor.ts";
import { debugRoutes } from "../../../src/services/routes.ts";
import { CUT_OFF } from "../../../src/session/session-observer.ts";
import { SessionSet } from "../../../src/session/session-set.ts";
import { bodyModes, bodyOf, headersOf, plainMessage, trailersOf } from "../../protocol/messages.ts";
import { upperProcessor } from "../../session/body/upper.ts";
import { deferred, nextTurn } from "../../session/deferred.ts";
import { changesOf } from "../../session/recorded-session.ts";

type Requests = readonly MessageInitShape<typeof ProcessingRequestSchema>[];

function clientOf(processor: Processor, options: ExternalProcessorOptions = {}) {
  return createClient(DebugService, createRouterTransport(debugRoutes(processor, options)));
}

/** Runs one transaction through the service. */
async function replay(processor: Processor, requests: Requests) {
  const { responses } = await clientOf(processor).process({ requests: [...requests] });
  return responses;
}

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => {
      throw new Error("the call went well");
    },
    (error: unknown) => ConnectError.from(error),
  );
}

describe("a debug call", () => {
  test("a debug call returns every answer as Envoy would get it", async () => {
    const responses = await replay(
      hello,
      PHASES.map((phase) => plainMessage(phase)),
    );
    expect(responses.map(({ response }) => response.case)).toEqual(PHASES);
    expect(changesOf(responses[0])).toEqual(["x-ext-proc-header = hello-to-asm"]);
    expect(changesOf(responses[3])).toEqual(["x-ext-proc-header = hello-from-asm"]);
  });

  test("a debug call without messages has no answers", async () => {
    expect(await replay(hello, [])).toEqual([]);
  });

  test("a debug call reads header values from value and from raw_value", async () => {
    const echo = defineProcessor({
      name: "echo",
      requestHeaders: (_headers, tx) => setHeader("x-seen", tx.request.all("x-a").join("|")),
    });
    const headers = { headers: [{ key: "x-a", value: "text" }, headerOf("x-a", "bytes")] };
    const [answer] = await replay(echo, [{ request: { case: "requestHeaders", value: { headers } } }]);
    expect(changesOf(answer)).toEqual(["x-seen = text|bytes"]);
  });

  test("a debug call reads body modes from its first message", async () => {
    const responses = await replay(hello, [
      headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")),
      bodyOf("requestBody", new Uint8Array(100_000), { endOfStream: true }),
    ]);
    expect(responses.map(({ response }) => response.case)).toEqual(["requestHeaders", "requestBody", "requestBody"]);
  });

  test("a debug call warns of exactly the effects that were made and not returned, with their place", async () => {
    const careless = defineProcessor({
      name: "careless",
      requestHeaders: async () => {
        await nextTurn();
        immediateResponse(403);
      },
      responseHeaders: () => setHeader("x-a", "1"),
    });
    const requests = [headersOf("requestHeaders"), headersOf("responseHeaders")];
    const { responses, warnings } = await clientOf(careless).process({ requests });
    expect(responses.map(({ response }) => response.case)).toEqual(["requestHeaders", "responseHeaders"]);
    expect(warnings).toMatchObject([
      {
        code: "effect_not_returned",
        rule: expect.stringMatching(
          /the result of immediateResponse\(\) was not returned \(.*debug-service\.test\.ts:\d+\)$/,
        ),
        wayOut: expect.stringContaining("return it"),
      },
    ]);
  });

  test("a debug call that a fault ended has no warnings of effects", async () => {
    const failing = defineProcessor({
      name: "failing",
      onFault: "closed",
      requestHeaders: () => {
        setHeader("x-a", "1");
        throw new Error("no");
      },
    });
    const { responses, warnings } = await clientOf(failing).process({ requests: [headersOf("requestHeaders")] });
    expect(responses.map(({ response }) => response.case)).toEqual(["immediateResponse"]);
    expect(warnings).toEqual([]);
  });

  test("a debug call ends at an immediate response", async () => {
    const no = defineProcessor({ name: "no", requestHeaders: () => immediateResponse(403) });
    const responses = await replay(no, [headersOf("requestHeaders"), headersOf("responseHeaders")]);
    expect(responses.map(({ response }) => response.case)).toEqual(["immediateResponse"]);
  });

  test("a debug call has the origin debug for handlers, and is counted separately", async () => {
    const seen: string[] = [];
    const processor = defineProcessor({ name: "p", requestHeaders: (_h, tx) => void seen.push(tx.origin) });
    const observer = {
      message: (phase: string, origin: string) => void seen.push(`${phase} ${origin}`),
      ended: (end: { result: string }, origin: string) => void seen.push(`${end.result} ${origin}`),
    };
    await clientOf(processor, { observer }).process({ requests: [headersOf("requestHeaders")] });
    expect(seen).toEqual(["requestHeaders debug", "debug", "completed debug"]);
  });

  test("a debug call processes one message at a time, so the response handler sees what a slow request handler stored", async () => {
    const processor = defineProcessor({
      name: "slow",
      state: () => ({ user: "" }),
      async requestHeaders(_headers, tx) {
        await nextTurn();
        tx.state.user = "ada";
      },
      responseHeaders: (_headers, tx) => setHeader("x-user", tx.state.user),
    });
    const responses = await replay(processor, [headersOf("requestHeaders"), headersOf("responseHeaders")]);
    expect(changesOf(responses[1])).toEqual(["x-user = ada"]);
  });
});

describe("messages without an answer", () => {
  test("messages without a member, or after an end of stream, do not hold the call", async () => {
    const responses = await replay(hello, [
      create(ProcessingRequestSchema),
      headersOf("requestHeaders", [], { endOfStream: true }),
      trailersOf("requestTrailers"),
    ]);
    expect(responses).toHaveLength(1);
  });

  test("messages in observability mode do not hold the call, with the flag on each message or only on the first", async () => {
    const slow = defineProcessor({ name: "slow", requestHeaders: () => nextTurn(), responseHeaders: () => nextTurn() });
    for (const processor of [hello, slow]) {
      const observed = { observabilityMode: true };
      const first = headersOf("requestHeaders", [], observed);
      expect(await replay(processor, [first, plainMessage("responseHeaders", observed)])).toEqual([]);
      expect(await replay(processor, [first, bodyOf("requestBody", "x"), plainMessage("responseHeaders")])).toEqual([]);
    }
  });

  test("handlers of a debug call in observability mode run to their end, one after the other", async () => {
    const steps: string[] = [];
    const step = (name: string) => async () => {
      steps.push(`${name} begins`);
      await nextTurn();
      steps.push(`${name} ends`);
    };
    const slow = defineProcessor({ name: "slow", requestHeaders: step("request"), responseHeaders: step("response") });
    const observed = { observabilityMode: true };
    await replay(slow, [plainMessage("requestHeaders", observed), plainMessage("responseHeaders", observed)]);
    expect(steps).toEqual(["request begins", "request ends", "response begins", "response ends"]);
  });
});

describe("a fault in a debug call", () => {
  test("a debug call shows what the handler threw", async () => {
    const bad = defineProcessor({
      name: "bad",
      requestHeaders() {
        throw new RangeError("no such user");
      },
    });
    const error = await errorOf(replay(bad, [headersOf("requestHeaders")]));
    expect(error.code).toBe(Code.Internal);
    expect(error.rawMessage).toBe(
      'handler_threw: processor "bad", requestHeaders: the handler threw: RangeError: no such user',
    );
  });

  test("a debug call shows a thrown value that is not an Error", async () => {
    const bad = defineProcessor({ name: "bad", requestHeaders: () => Promise.reject<undefined>("text") });
    const error = await errorOf(replay(bad, [headersOf("requestHeaders")]));
    expect(error.rawMessage).toMatch(/the handler threw: not an Error$/);
  });

  test("a debug call reports the fault of an Error that cannot be printed", async () => {
    class Hostile extends Error {
      override toString(): string {
        throw new Error("again");
      }
    }
    const bad = defineProcessor({ name: "bad", requestHeaders: () => Promise.reject<undefined>(new Hostile()) });
    const error = await errorOf(replay(bad, [headersOf("requestHeaders")]));
    expect(error.code).toBe(Code.Internal);
    expect(error.rawMessage).toMatch(/^handler_threw: processor "bad", requestHeaders: the handler threw/);
  });

  test("a debug call with a protocol error of its messages fails as the caller's mistake", async () => {
    const error = await errorOf(replay(hello, [headersOf("requestHeaders"), headersOf("requestHeaders")]));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toMatch(/^phase_out_of_order: /);
  });
});

describe("limits of a debug call", () => {
  test(`a debug call of ${MAX_DEBUG_MESSAGES} messages is accepted, and one with more is rejected`, async () => {
    const chunks = (count: number) => Array.from({ length: count }, () => bodyOf("requestBody", "x"));
    expect(MAX_DEBUG_MESSAGES).toBe(64);
    expect(await replay(hello, chunks(64))).toHaveLength(64);
    const error = await errorOf(replay(hello, chunks(65)));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe("requests: expected at most 64 messages, got 65");
  });

  test("a debug call of a megabyte is rejected", async () => {
    const error = await errorOf(replay(hello, [bodyOf("requestBody", new Uint8Array(1 << 20))]));
    expect(error.code).toBe(Code.ResourceExhausted);
  });
});

describe("the end of a debug call", () => {
  function hanging() {
    const started = deferred<AbortSignal>();
    const processor = defineProcessor({
      name: "hanging",
      requestHeaders(_headers, tx) {
        started.resolve(tx.signal);
        return deferred().promise;
      },
    });
    return { processor, started };
  }

  test("a debug call whose caller leaves aborts its handler", async () => {
    const { processor, started } = hanging();
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const call = errorOf(clientOf(processor).process({ requests: [headersOf("requestHeaders")] }, options));
    const signal = await started.promise;
    abort.abort();
    expect((await call).code).toBe(Code.Canceled);
    await expect.poll(() => signal.aborted).toBe(true);
  });

  test("a debug call whose messages end before an answer reports this", async () => {
    const requests = [headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED"))];
    const { code, rawMessage } = await errorOf(clientOf(upperProcessor("whole")).process({ requests }));
    expect([code, rawMessage]).toEqual([Code.InvalidArgument, `requests: ${CUT_OFF}`]);
  });

  test("a debug call ends with UNAVAILABLE when the server shuts down", async () => {
    const { processor, started } = hanging();
    const sessions = new SessionSet();
    const call = errorOf(clientOf(processor, { sessions }).process({ requests: [headersOf("requestHeaders")] }));
    await started.promise;
    sessions.shutDown();
    expect((await call).code).toBe(Code.Unavailable);
    expect(sessions.size).toBe(0);
  });
});

function headerOf(key: string, text: string) {
  return { key, rawValue: new TextEncoder().encode(text) };
}
