import { expect, test } from "vitest";
import { defineProcessor } from "../../src/index.ts";
import { openProcess, processAll } from "../network/grpc-js-client.ts";
import { requestBody, requestHeaders } from "../network/messages.ts";
import { bodyModes } from "../protocol/messages.ts";
import { deferred } from "../session/deferred.ts";
import { serverForTest } from "./start-server.ts";

const holder = defineProcessor({
  name: "holder",
  onFault: "closed",
  requestBody: { read: "whole", maxBytes: 3000, handle: () => undefined },
});
const head = requestHeaders([], false, bodyModes("FULL_DUPLEX_STREAMED"));
const stalled = (bytes: number) => [head, requestBody(new Uint8Array(bytes), false)];

test("/metrics has the bytes that bodies hold, and the rejections for lack of room", async () => {
  const { port, metric } = await serverForTest(holder, { maxHeldBodyBytes: 5000, maxHeldBodyBytesPerStream: 2000 });
  const statuses: unknown[] = [];
  for (const bytes of [3500, 2500]) {
    const { answers } = await processAll(port, stalled(bytes));
    statuses.push(answers[0]?.response.value);
  }
  expect(statuses).toMatchObject([{ status: { code: 413 } }, { status: { code: 413 } }]);
  const calls = [0, 1].map(() => openProcess(port));
  for (const call of calls) for (const message of stalled(2000)) call.send(message);
  await expect.poll(() => metric('ext_proc_memory_held_bytes{kind="bodies"}')).toBe(4000);
  const { answers } = await processAll(port, stalled(1500));
  expect(answers[0]?.response.value).toMatchObject({ status: { code: 503 } });
  for (const [cap, count] of [
    ["body", 1],
    ["stream", 1],
    ["total", 1],
    ["envoy", 0],
  ] as const)
    expect(await metric(`ext_proc_body_refusals_total{cap="${cap}",answer="reject"}`)).toBe(count);
  expect(await metric('ext_proc_memory_max_bytes{kind="bodies"}')).toBe(5000);
  expect(await metric("ext_proc_memory_max_bytes_per_stream")).toBe(2000);
  for (const call of calls) call.end();
  await expect.poll(() => metric('ext_proc_memory_held_bytes{kind="bodies"}')).toBe(0);
  expect(await metric('ext_proc_memory_held_bytes_peak{kind="bodies"}')).toBe(4000);
});

test("/metrics has the bytes that late handlers and large headers hold until the handlers settle", async () => {
  const body = deferred<undefined>();
  const head = deferred<undefined>();
  const late = defineProcessor({
    name: "late",
    requestHeaders: ({ endOfStream }) => (endOfStream ? head.promise : undefined),
    requestBody: { read: "text", handle: () => body.promise },
  });
  const { port, metric } = await serverForTest(late);
  const held = (kind: string) => metric(`ext_proc_memory_held_bytes{kind="${kind}"}`);
  const transactions = [
    [requestHeaders([], false, bodyModes("BUFFERED")), requestBody(new Uint8Array(10_000).fill(65), true)],
    [requestHeaders([["cookie", "c".repeat(50_000)]], true)],
  ];
  for (const messages of transactions) openProcess(port).send(...messages);
  await expect.poll(() => held("bodies")).toBe(20_000);
  await expect.poll(() => held("headers")).toBeGreaterThan(50_000);
  // Their handlers have timed out.
  await expect.poll(() => metric("ext_proc_streams_active")).toBe(0);
  expect(await held("bodies")).toBe(20_000);
  expect(await held("headers")).toBeGreaterThan(50_000);
  body.resolve(undefined);
  head.resolve(undefined);
  await expect.poll(() => held("bodies")).toBe(0);
  await expect.poll(() => held("headers")).toBe(0);
});
