import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { requestBody, requestHeaders, responseHeaders } from "../network/messages.ts";
import { http2Session } from "../network/raw-grpc.ts";
import { serverForTest } from "./start-server.ts";

const url = (port: number, path: string) => `http://127.0.0.1:${port}${path}`;

describe("the status listener", () => {
  test.each([
    ["/healthz", "ok\n"],
    ["/readyz", "ready\n"],
    ["/readyz?verbose", "ready\n"],
  ])("the status listener answers %s", async (path, text) => {
    const { statusPort } = await serverForTest(hello);
    const answer = await fetch(url(statusPort, path));
    expect([answer.status, await answer.text()]).toEqual([200, text]);
  });

  test.each(["/healthz", "/readyz", "/metrics"])(
    "the status listener answers HEAD of %s without a body",
    async (path) => {
      const { statusPort } = await serverForTest(hello);
      const answer = await fetch(url(statusPort, path), { method: "HEAD" });
      expect([answer.status, await answer.text()]).toEqual([200, ""]);
    },
  );

  test.each(["POST", "PUT", "DELETE", "OPTIONS"])(
    "the status listener answers %s with 405 and the allowed methods",
    async (method) => {
      const { statusPort } = await serverForTest(hello);
      const answer = await fetch(url(statusPort, "/readyz"), { method });
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    },
  );

  test.each(["/", "/healthz/", "/config", "/grpc.health.v1.Health/Check", "/extproc.debug.v1.DebugService/Process"])(
    "the status listener answers 404 for %s",
    async (path) => {
      const { statusPort } = await serverForTest(hello, { debug: "on" });
      expect((await fetch(url(statusPort, path))).status).toBe(404);
    },
  );

  test("the status listener has counters for Prometheus that start at 0, and the metrics of Node", async () => {
    const started = await serverForTest(hello);
    const before = await fetch(url(started.statusPort, "/metrics"));
    expect(before.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await before.text();
    for (const sample of [
      'ext_proc_streams_total{result="completed",origin="envoy"} 0',
      'ext_proc_streams_total{result="canceled",origin="debug"} 0',
      'ext_proc_messages_total{phase="responseTrailers",origin="envoy"} 0',
      'ext_proc_faults_total{code="handler_threw",origin="envoy"} 0',
      "ext_proc_streams_active 0",
    ]) {
      expect(text.split("\n")).toContain(sample);
    }
    expect(text).toMatch(/^nodejs_version_info\{/m);
    await processAll(started.port, [requestHeaders(), requestBody("a", false), requestBody("b"), responseHeaders()]);
    expect(await started.metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(1);
    expect(await started.metric('ext_proc_messages_total{phase="requestBody",origin="envoy"}')).toBe(2);
    expect(await started.metric('ext_proc_messages_total{phase="responseHeaders",origin="envoy"}')).toBe(1);
    expect(await started.metric('ext_proc_messages_total{phase="requestHeaders",origin="debug"}')).toBe(0);
  });

  test("the status listener answers a flood of requests for metrics with few scrapes and 503, and other clients with 200", async () => {
    const started = await serverForTest(hello);
    const flood = http2Session(started.statusPort);
    const answers = Array.from({ length: 300 }, async (_, index) => {
      const stream = flood.request({ ":path": "/metrics", ":method": index % 2 === 0 ? "GET" : "HEAD" });
      const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
      await stream.resume().toArray();
      return [headers[":status"], headers["retry-after"]].join(" ");
    });
    const other = await fetch(url(started.statusPort, "/metrics"));
    expect([other.status, (await other.text()).length > 10_000]).toEqual([200, true]);
    const counts = new Map<string, number>();
    for (const answer of await Promise.all(answers)) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual(["200 ", "503 1"]);
    // Most requests come at the same time; 4 of a connection may wait for each scrape.
    expect(counts.get("503 1")).toBeGreaterThan(200);
    expect(await started.metric("ext_proc_scrapes_refused_total")).toBe(counts.get("503 1"));
  });

  test("the status listener can be switched off", async () => {
    const { server, port } = await serverForTest(hello, { statusListen: "off", adminListen: "off" });
    expect([server.statusAddress, server.adminAddress]).toEqual(["off", "off"]);
    expect((await processAll(port, [requestHeaders()])).status.code).toBe(0);
  });
});
