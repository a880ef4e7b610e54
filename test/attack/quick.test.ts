import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ATTACKS } from "../../scripts/attack/attacks.mjs";
import type { Honest } from "../../scripts/attack/latency.mjs";
import { heldBytes, metricsOf, risen } from "../../scripts/attack/metrics.mjs";
import { Outcomes } from "../../scripts/attack/outcomes.mjs";
import { type RunningServer, startServer } from "../../scripts/attack/server.mjs";

/** Those that a server with default settings withstands, and counts, within a moment. */
const QUICK = [
  "pipelining",
  "pipelining-status",
  "metrics-flood",
  "long-http1-headers",
  "garbage",
  "tls-on-plaintext",
  "half-messages",
  "grpc-bad-flag",
  "grpc-too-long",
  "grpc-timeout",
  "empty-headers",
  "rapid-reset",
  "continuation-flood",
  "ping-flood",
  "settings-flood",
  "empty-frames",
  "hpack-bomb",
  "window-overflow",
  "huge-header-lists",
];
/** A shared machine may be slow; the attack is over as soon as it is counted. */
const COUNTED_WITHIN_MS = 12_000;
const HONEST_PER_SECOND = 50;

let server: RunningServer;
let honest: ChildProcess;

beforeAll(async () => {
  server = await startServer();
  const file = fileURLToPath(new URL("../../scripts/attack/honest.mjs", import.meta.url));
  honest = fork(file, ["main", String(server.ports.main), String(HONEST_PER_SECOND)]);
  await seenByHonest();
});

afterAll(async () => {
  honest.disconnect();
  expect(await server.stop(10_000)).toBeDefined();
});

async function seenByHonest(): Promise<Honest> {
  const answer = once(honest, "message");
  honest.send("take");
  return (await answer)[0];
}

describe("a server with default settings", () => {
  test.each(QUICK)(
    "a server with default settings withstands %s, counts it, and serves all other clients",
    async (name) => {
      const attack = ATTACKS.find((each) => each.name === name);
      if (attack?.counted === undefined) throw new Error(`${name}: there is no such attack, or it is not counted`);
      const { counted, right } = attack;
      const before = await metricsOf(server.ports.status);
      const outcomes = new Outcomes();
      const end = new AbortController();
      const ports = { ...server.ports, client: 0 };
      const fight = attack.run({ ports, seconds: 1, signal: end.signal, outcomes });
      await expect
        .poll(
          async () =>
            Object.keys(risen(before, await metricsOf(server.ports.status))).some((each) => counted.test(each)),
          {
            timeout: COUNTED_WITHIN_MS,
          },
        )
        .toBe(true);
      end.abort();
      await fight;
      const wrong = Object.keys(outcomes.take()).filter((outcome) => !right.test(outcome));
      expect(wrong).toEqual([]);
      expect((await fetch(`http://127.0.0.1:${server.ports.status}/healthz`)).status).toBe(200);
      // Long enough for some requests behind the attack.
      await delay(100);
      const { sent, failed } = await seenByHonest();
      expect(failed).toEqual({});
      expect(sent).toBeGreaterThan(0);
      await expect.poll(async () => heldBytes(await metricsOf(server.ports.status)), { timeout: 5000 }).toBe(0);
    },
    30_000,
  );
});
