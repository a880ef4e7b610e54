import { expect, test } from "vitest";
import { defineProcessor } from "../../src/index.ts";
import { bodyModes } from "../protocol/messages.ts";
import { serverForTest } from "../server/start-server.ts";
import { usedBytes } from "../used-bytes.ts";
import { requestBody, requestHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const CALLS = 1000;
const BODY_BYTES = 64 << 10;
const MAX_HELD_BYTES = 16 << 20;
const FITTING = MAX_HELD_BYTES / BODY_BYTES;

const holder = defineProcessor({
  name: "holder",
  requestBody: { read: "whole", handle: () => undefined },
});

test("1,000 bodies that stall stay within the server's memory limit, and bodies above it are answered with 503", async () => {
  const { port, metric } = await serverForTest(holder, { maxHeldBodyBytes: MAX_HELD_BYTES });
  const sessions = Array.from({ length: 10 }, () => http2Session(port));
  const before = usedBytes();
  const head = requestHeaders([], false, bodyModes("FULL_DUPLEX_STREAMED"));
  const body = requestBody(new Uint8Array(BODY_BYTES).fill(97), false);
  const calls = Array.from({ length: CALLS }, (_, index) => {
    const call = openRawCall(sessions[index % sessions.length] as (typeof sessions)[number]);
    call.send(head, body);
    return call;
  });
  const answered = calls.map(async (call) => (await call.next())?.response);
  await expect
    .poll(() => metric('ext_proc_memory_held_bytes{kind="bodies"}'), { timeout: 20_000 })
    .toBe(MAX_HELD_BYTES);
  await expect
    .poll(() => metric('ext_proc_body_refusals_total{cap="total",answer="reject"}'), { timeout: 20_000 })
    .toBe(CALLS - FITTING);
  const labels =
    'code="body_memory_exceeded",source="internal",processor="holder",outcome="immediate_response",origin="envoy"';
  expect(await metric(`ext_proc_fault_outcomes_total{${labels}}`)).toBe(CALLS - FITTING);
  expect(await metric('ext_proc_memory_held_bytes_peak{kind="bodies"}')).toBe(MAX_HELD_BYTES);
  for (const { reset } of calls) reset("INTERNAL_ERROR");
  const answers = (await Promise.all(answered)).filter((answer) => answer !== undefined);
  expect(answers).toHaveLength(CALLS - FITTING);
  for (const answer of answers)
    expect(answer).toMatchObject({ case: "immediateResponse", value: { status: { code: 503 } } });
  await expect.poll(() => metric('ext_proc_memory_held_bytes{kind="bodies"}')).toBe(0);
  await expect.poll(() => metric("ext_proc_streams_active")).toBe(0);
  calls.length = 0;
  answered.length = 0;
  // Less than what was held, had it stayed; what is left is the thousand calls of this process.
  await expect.poll(() => usedBytes() - before, { timeout: 10_000 }).toBeLessThan(MAX_HELD_BYTES * 0.75);
}, 60_000);
