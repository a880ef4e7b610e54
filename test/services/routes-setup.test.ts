import { once } from "node:events";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ExternalProcessor,
  type ProcessingRequest,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { defineProcessor } from "../../src/processor/definition.ts";
import { extProcRoutes } from "../../src/services/routes.ts";
import { headersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "../session/deferred.ts";

async function* sent(...messages: readonly ProcessingRequest[]): AsyncGenerator<ProcessingRequest> {
  yield* messages;
}

describe("setup by the routes", () => {
  test("routes run the processor's setup, and accept no stream before it is done", async () => {
    const gate = deferred();
    const processor = defineProcessor({ name: "keys", setup: () => gate.promise, requestHeaders: () => undefined });
    const transport = createRouterTransport(extProcRoutes(processor));
    const health = async () => (await createClient(Health, transport).check({})).status;
    const call = async () => {
      try {
        const answers: unknown[] = [];
        const { process } = createClient(ExternalProcessor, transport);
        for await (const { response } of process(sent(headersOf("requestHeaders")))) answers.push(response.case);
        return answers;
      } catch (error) {
        return ConnectError.from(error).code;
      }
    };
    expect([await health(), await call()]).toEqual([ServingStatus.NOT_SERVING, Code.Unavailable]);
    gate.resolve();
    await nextTurn();
    expect([await health(), await call()]).toEqual([ServingStatus.SERVING, ["requestHeaders"]]);
  });

  test("routes warn of a setup that fails, with its message and code, unless there is an observer", async () => {
    const cause = Object.assign(new Error("no keys"), { code: "ENOTFOUND" });
    const processor = defineProcessor({ name: "keys", setup: () => Promise.reject(cause) });
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const warned = once(process, "warning");
    extProcRoutes(processor, { signal: stop.signal });
    expect(String((await warned)[0])).toBe(
      'ExtProcWarning: the setup of processor "keys" failed; the next attempt is in 1000 ms: no keys',
    );
    const told: unknown[] = [];
    const setupObserver = {
      ready: () => undefined,
      failed: (...args: unknown[]) => void told.push(args),
      closeFailed: () => undefined,
    };
    extProcRoutes(processor, { signal: stop.signal, setupObserver });
    await nextTurn();
    expect(told).toEqual([["keys", cause, 1000]]);
  });

  test("routes close the processor when their signal aborts", async () => {
    const stop = new AbortController();
    const events: string[] = [];
    const processor = defineProcessor({
      name: "keys",
      setup: (signal) => {
        signal.addEventListener("abort", () => events.push("setup aborted"));
        return new Promise(() => undefined);
      },
      close: () => void events.push("closed"),
    });
    extProcRoutes(processor, { signal: stop.signal });
    stop.abort();
    await nextTurn();
    expect(events).toEqual(["setup aborted", "closed"]);
  });

  test("routes use the operator's settings, and debug calls show a fault that the answers hide", async () => {
    const processor = defineProcessor({
      name: "broken",
      requestHeaders: () => {
        throw new Error("no");
      },
    });
    const routes = extProcRoutes(processor, { operator: { onFault: "closed" }, debug: true });
    let code: string | null = null;
    const { responses } = await createClient(DebugService, createRouterTransport(routes)).process(
      { requests: [headersOf("requestHeaders")] },
      {
        onHeader(headers) {
          code = headers.get("ext-proc-fault");
        },
      },
    );
    expect(responses.map(({ response }) => response.case)).toEqual(["immediateResponse"]);
    expect(code).toBe("handler_threw");
  });
});
