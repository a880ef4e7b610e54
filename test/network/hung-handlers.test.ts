import { expect, test } from "vitest";
import { fixture } from "../fixtures/fixture.ts";
import { spawnBinary } from "../server/spawn-binary.ts";
import { requestHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const CALLS = 500;
/**
 * What is left of each, of 8 KiB of headers and what is made of them: the promise, which the processor itself holds, and
 * what the transport counts. Measured: 1.7 KB, the test's own record included.
 */
const MAX_KEPT_BYTES = 4_096;
const HEADERS = Array.from({ length: 20 }, (_, index) => [`x-header-${index}`, "v".repeat(400)] as const);

interface Memory {
  /** Messages, transactions and heads that are still there. */
  readonly alive: number;
  readonly kept: number;
  readonly usedBytes: number;
}

test("handlers that never settle keep no memory of their transactions, timed out or reset", async () => {
  const flags = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];
  const {
    port: listening,
    ended,
    kill,
  } = spawnBinary(["serve", fixture("hung.js"), ...flags], {
    nodeArgs: ["--expose-gc"],
  });
  const session = http2Session(await listening());
  const memory = async (): Promise<Memory> => {
    const call = openRawCall(session);
    call.send(requestHeaders([[":path", "/collect"]]));
    const answer = await call.next();
    if (answer?.response.case !== "immediateResponse") throw new Error("no memory was told");
    return JSON.parse(new TextDecoder().decode(answer.response.value.body)) as Memory;
  };
  const hang = async (end: "timed out" | "reset") => {
    const calls = Array.from({ length: CALLS }, () => openRawCall(session));
    for (const call of calls) call.send(requestHeaders([[":path", "/hang"], ...HEADERS]));
    if (end === "timed out") {
      // gRPC's DEADLINE_EXCEEDED.
      expect(new Set(await Promise.all(calls.map(({ status }) => status)))).toEqual(new Set(["4"]));
    }
    // As Envoy does with every stream that it needs no more.
    for (const call of calls) call.reset("INTERNAL_ERROR");
  };
  const before = await memory();
  await hang("timed out");
  await expect.poll(async () => (await memory()).alive).toBe(0);
  const timedOut = await memory();
  await hang("reset");
  // A reset may overtake its call's message.
  await expect.poll(async () => (await memory()).kept).toBeGreaterThan(1.9 * CALLS);
  const after = await memory();
  process.stdout.write(`hung handlers: ${JSON.stringify({ before, timedOut, after })}\n`);
  expect([timedOut.alive, after.alive]).toEqual([0, 0]);
  expect(after.usedBytes - timedOut.usedBytes).toBeLessThan(CALLS * MAX_KEPT_BYTES);
  kill("SIGTERM");
  expect((await ended).code).toBe(0);
}, 60_000);
