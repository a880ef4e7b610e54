import { once } from "node:events";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { requestHeaders } from "../network/messages.ts";
import { http2Session } from "../network/raw-grpc.ts";
import { deferred } from "../session/deferred.ts";
import { type StartedServer, serverForTest } from "./start-server.ts";

async function readiness({ port, statusPort }: StartedServer) {
  const page = await fetch(`http://127.0.0.1:${statusPort}/readyz`);
  const health = createClient(Health, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
  return { status: page.status, text: await page.text(), health: (await health.check({})).status };
}

describe("setup and readiness", () => {
  test("a server is ready when its processor's setup is done, and accepts no stream before", async () => {
    const gate = deferred();
    const processor = defineProcessor({
      name: "keys",
      setup: () => gate.promise,
      requestHeaders: () => setHeader("x-a", "1"),
    });
    const started = await serverForTest(processor);
    expect(await readiness(started)).toEqual({
      status: 503,
      text: 'not ready: processor "keys": its setup is not done\n',
      health: ServingStatus.NOT_SERVING,
    });
    expect((await processAll(started.port, [requestHeaders()])).status.code).toBe(14);
    expect(await started.metric('ext_proc_faults_total{code="not_ready",origin="envoy"}')).toBe(1);
    expect(await started.metric("ext_proc_ready")).toBe(0);
    gate.resolve();
    await expect
      .poll(() => readiness(started))
      .toEqual({ status: 200, text: "ready\n", health: ServingStatus.SERVING });
    expect(await started.metric("ext_proc_ready")).toBe(1);
    expect((await processAll(started.port, [requestHeaders()])).status.code).toBe(0);
    expect(started.logLines().map(({ msg }) => msg)).toContain("A processor is set up");
  });

  test("a server whose setup fails continues, logs the reason with its code, and counts the failure", async () => {
    const processor = defineProcessor({
      name: "keys",
      setup: async () => {
        await fetch("http://keys.invalid/");
      },
    });
    const started = await serverForTest(processor);
    await expect.poll(() => started.logText()).toContain("The setup of a processor failed");
    expect(started.logLines().find(({ level }) => level === "error")).toMatchObject({
      processor: "keys",
      error: "TypeError",
      code: expect.stringMatching(/^(?:ENOTFOUND|EAI_AGAIN)$/),
      reason: expect.stringMatching(/^fetch failed: getaddrinfo (?:ENOTFOUND|EAI_AGAIN) keys\.invalid$/),
      retryMs: 1000,
    });
    expect(await started.metric('ext_proc_processor_hook_failures_total{hook="setup",processor="keys"}')).toBe(1);
    expect((await readiness(started)).status).toBe(503);
  });

  test("a server that drains aborts its setup's signal, and closes the processor after the last transaction", async () => {
    const events: string[] = [];
    const processor = defineProcessor({
      name: "keys",
      setup: (signal) =>
        new Promise<void>((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            events.push("aborted");
            reject(signal.reason);
          });
        }),
      close: async () => void events.push("closed"),
    });
    const started = await serverForTest(processor);
    await started.server.drain();
    expect(events).toEqual(["aborted", "closed"]);
    await started.server.close();
    expect(events).toEqual(["aborted", "closed"]);
    expect(started.logLines().filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("failures and unenforced effects", () => {
  test("a failure is counted with processor and outcome, and the log has the outcome", async () => {
    const processor = defineProcessor({
      name: "broken",
      onFault: "open",
      requestHeaders: () => {
        throw new Error("no");
      },
    });
    const started = await serverForTest(processor);
    await processAll(started.port, [requestHeaders()]);
    const labels = 'code="handler_threw",source="handler",processor="broken",outcome="passed",origin="envoy"';
    expect(await started.metric(`ext_proc_fault_outcomes_total{${labels}}`)).toBe(1);
    expect(await started.metric('ext_proc_faults_total{code="handler_threw",origin="envoy"}')).toBe(1);
    expect(started.logLines().find(({ fault }) => fault === "handler_threw")).toMatchObject({ outcome: "passed" });
  });

  test("an effect that shadow mode does not apply is warned of once, and counted each time", async () => {
    const processor = defineProcessor({ name: "editor", requestHeaders: () => setHeader("x-a", "s3cret") });
    const started = await serverForTest(processor, { shadow: true });
    for (let call = 0; call < 3; call++) await processAll(started.port, [requestHeaders()]);
    expect(await started.metric('ext_proc_unenforced_total{reason="shadow",origin="envoy"}')).toBe(3);
    expect(await started.metric("ext_proc_shadow")).toBe(1);
    const lines = started.logLines();
    expect(lines.filter(({ reason }) => reason === "shadow")).toHaveLength(1);
    expect(lines.filter(({ wanted }) => wanted === "set x-a")).toHaveLength(3);
    expect(started.logText()).not.toContain("s3cret");
  });

  test("a transaction leaves a line in the decision log if that log is on", async () => {
    const processor = defineProcessor({ name: "editor", requestHeaders: () => setHeader("x-a", "s3cret") });
    const started = await serverForTest(processor, { decisionLog: { sample: 1 } });
    await processAll(started.port, [requestHeaders([[":path", "/x?s3cret"]])]);
    expect(started.logLines().filter(({ msg }) => msg === "Decision")).toMatchObject([
      { level: "info", path: "/x", answers: { requestHeaders: { set: ["x-a"] } } },
    ]);
    expect(started.logText()).not.toContain("s3cret");
  });
});

test("connections are drained at the age that the operator sets", async () => {
  const started = await serverForTest(defineProcessor({ name: "idle" }), { http2: { maxConnectionAgeMs: 1 } });
  const session = http2Session(started.port);
  await once(session, "goaway");
  await expect.poll(() => started.metric('ext_proc_http2_connections_ended_total{reason="drained"}')).toBe(1);
});
