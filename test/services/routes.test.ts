import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  ExternalProcessor,
  type ProcessingRequest,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { PHASES } from "../../src/protocol/phase.ts";
import { type ExtProcRoutesOptions, extProcRoutes } from "../../src/services/routes.ts";
import { ServingState } from "../../src/services/serving-state.ts";
import { SessionSet } from "../../src/session/session-set.ts";
import { bodyOf, headersOf, plainMessage } from "../protocol/messages.ts";
import { deferred } from "../session/deferred.ts";
import { changesOf } from "../session/recorded-session.ts";

const SECRET = "s3cr3t";

function transportOf(processor: Processor, options: ExtProcRoutesOptions = {}) {
  return createRouterTransport(extProcRoutes(processor, options));
}

async function* sent(...messages: readonly ProcessingRequest[]): AsyncGenerator<ProcessingRequest> {
  yield* messages;
}

/** Every answer of one Process call, in short, and the error it ended with. */
async function process(processor: Processor, messages: AsyncIterable<ProcessingRequest>, options = {}) {
  const answers: string[] = [];
  try {
    for await (const answer of createClient(ExternalProcessor, transportOf(processor, options)).process(messages))
      answers.push([answer.response.case, ...changesOf(answer)].join(" "));
    return { answers };
  } catch (error) {
    return { answers, error: ConnectError.from(error) };
  }
}

describe("ExternalProcessor", () => {
  test("ExternalProcessor answers a whole transaction", async () => {
    expect(await process(hello, sent(...PHASES.map((phase) => plainMessage(phase))))).toEqual({
      answers: [
        "requestHeaders x-ext-proc-header = hello-to-asm",
        "requestBody",
        "requestTrailers",
        "responseHeaders x-ext-proc-header = hello-from-asm",
        "responseBody",
        "responseTrailers",
      ],
    });
  });

  test("ExternalProcessor ends with INTERNAL if a handler fails, and does not show what was thrown", async () => {
    const bad = defineProcessor({
      name: "bad",
      responseHeaders() {
        throw new Error(SECRET);
      },
    });
    const { answers, error } = await process(bad, sent(headersOf("requestHeaders"), headersOf("responseHeaders")));
    expect(answers).toEqual(["requestHeaders"]);
    expect(error?.code).toBe(Code.Internal);
    expect(error?.message).not.toContain(SECRET);
    expect(error?.rawMessage).toBe('handler_threw: processor "bad", responseHeaders: the handler threw');
  });

  test("ExternalProcessor accepts a message just below 4 MiB and rejects a larger one by default", async () => {
    const chunk = (bytes: number) => sent(headersOf("requestHeaders"), bodyOf("requestBody", new Uint8Array(bytes)));
    expect((await process(hello, chunk((4 << 20) - 64))).error).toBeUndefined();
    const { answers, error } = await process(hello, chunk(4 << 20));
    expect(answers).toHaveLength(1);
    expect(error?.code).toBe(Code.ResourceExhausted);
    expect((await process(hello, chunk(2048), { maxMessageBytes: 1024 })).error?.code).toBe(Code.ResourceExhausted);
    expect((await process(hello, chunk(5 << 20), { maxMessageBytes: 6 << 20 })).error).toBeUndefined();
  });

  test("ExternalProcessor aborts a handler when its caller's deadline passes", async () => {
    const aborted = deferred();
    const hanging = defineProcessor({
      name: "hanging",
      requestHeaders(_headers, tx) {
        tx.signal.addEventListener("abort", () => aborted.resolve());
        return deferred().promise;
      },
    });
    const client = createClient(ExternalProcessor, transportOf(hanging));
    const answers = client.process(sent(headersOf("requestHeaders")), { timeoutMs: 20 });
    const error = await answers[Symbol.asyncIterator]().next().catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.DeadlineExceeded });
    await aborted.promise;
  });

  test("ExternalProcessor ends with UNAVAILABLE if an answer is due at shutdown", async () => {
    const started = deferred();
    const sessions = new SessionSet();
    const hanging = defineProcessor({
      name: "hanging",
      requestHeaders() {
        started.resolve();
        return deferred().promise;
      },
    });
    const call = process(hanging, sent(headersOf("requestHeaders")), { sessions });
    await started.promise;
    sessions.shutDown();
    expect((await call).error?.code).toBe(Code.Unavailable);
  });
});

describe("the other services", () => {
  test("Health reports the given state, and SERVING without one", async () => {
    const serving = new ServingState();
    serving.serving = false;
    const status = async (options: ExtProcRoutesOptions) =>
      (await createClient(Health, transportOf(hello, options)).check({})).status;
    expect(await status({ serving })).toBe(ServingStatus.NOT_SERVING);
    expect(await status({})).toBe(ServingStatus.SERVING);
  });

  test("DebugService is served only if it is switched on", async () => {
    const call = (options: ExtProcRoutesOptions) =>
      createClient(DebugService, transportOf(hello, options)).process({ requests: [headersOf("requestHeaders")] });
    await expect(call({})).rejects.toMatchObject({ code: Code.Unimplemented });
    await expect(call({ debug: false })).rejects.toMatchObject({ code: Code.Unimplemented });
    expect((await call({ debug: true })).responses).toHaveLength(1);
  });
});
