import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor, type FaultPolicy, type Processor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import type { Transaction } from "../../src/processor/transaction.ts";
import { type EnvoyRig, envoyBinary, startEnvoyRig } from "./envoy-rig.ts";

/** Fails as the request header `x-fail` says: how, and in which phase. */
function failing(onFault: FaultPolicy): Processor {
  const handler = (phase: string) => (_headers: unknown, tx: Transaction) => {
    const [how, where] = (tx.request.get("x-fail") ?? "").split(" ");
    return where === phase ? (fail(how) as undefined) : setHeader(`x-${phase}`, "handled");
  };
  return defineProcessor({
    name: "failing",
    onFault,
    requestHeaders: handler("request"),
    responseHeaders: handler("response"),
  });
}

function fail(how: string | undefined): unknown {
  switch (how) {
    case "throw":
      throw new Error("no");
    case "reject":
      return Promise.reject(new Error("no"));
    case "hang":
      return new Promise(() => undefined);
    default:
      return setHeader("content-length", "1");
  }
}

const CODES = { throw: "handler_threw", reject: "handler_threw", hang: "handler_timeout", invalid: "invalid_effect" };
const OUTCOMES = { envoy: "grpc_error", open: "passed", closed: "immediate_response" };

describe.skipIf(envoyBinary === undefined).each(["envoy", "open", "closed"] as const)(
  "behind an Envoy, under the policy %s",
  (onFault) => {
    let rig: EnvoyRig;
    beforeAll(async () => {
      rig = await startEnvoyRig(failing(onFault));
    }, 30_000);
    afterAll(() => rig?.stop());

    test.each(Object.keys(CODES) as (keyof typeof CODES)[])(
      "a handler that fails (%s) in either header phase has the outcome of the policy",
      async (how) => {
        for (const phase of ["request", "response"]) {
          const before = rig.logLines.length;
          const { status, headers, body } = await rig.send({ headers: { "x-fail": `${how} ${phase}` } });
          expect(status).toBe(onFault === "open" ? 200 : 500);
          expect(rig.logLines.slice(before)).toMatchObject([{ fault: CODES[how], outcome: OUTCOMES[onFault] }]);
          if (onFault === "closed") expect(body.toString()).toBe("");
          if (onFault !== "open") continue;
          // What was answered before stays, and nothing is handled any more.
          expect("x-request" in (rig.upstream.seen.at(-1)?.headers ?? {})).toBe(phase === "response");
          expect(headers).not.toHaveProperty("x-response");
        }
      },
    );

    test("Envoy counts no failures except the errors that the server sent", async () => {
      const counters = await rig.counters();
      expect(counters).toMatchObject({ spurious_msgs_received: 0, rejected_header_mutations: 0, message_timeouts: 0 });
      expect(counters.streams_failed).toBe(onFault === "envoy" ? 8 : 0);
    });
  },
);

describe.skipIf(envoyBinary === undefined)("a gRPC error under failure_mode_allow", () => {
  test("a gRPC error under failure_mode_allow lets the request pass under the policy envoy, and not under closed", async () => {
    for (const [onFault, expected] of [
      ["envoy", 200],
      ["closed", 500],
    ] as const) {
      const rig = await startEnvoyRig(failing(onFault), { failure_mode_allow: true });
      try {
        expect((await rig.send({ headers: { "x-fail": "throw request" } })).status).toBe(expected);
      } finally {
        await rig.stop();
      }
    }
  }, 30_000);
});

describe.skipIf(envoyBinary === undefined)("a handler that takes longer than Envoy waits", () => {
  const slow = defineProcessor({
    name: "slow",
    timeoutMs: 1_500,
    async requestHeaders(_headers, tx) {
      await delay(Number(tx.request.get("x-delay-ms")), undefined, { signal: tx.signal });
      return setHeader("x-request", "handled");
    },
  });

  test("Envoy waits for a slow handler if max_message_timeout allows it and is declared, and no longer than the handler's timeout", async () => {
    const filter = { message_timeout: "0.3s", max_message_timeout: "3s" };
    const envoy = { messageTimeoutMs: 300, maxMessageTimeoutMs: 3000 };
    const rig = await startEnvoyRig(slow, filter, "admin", { envoy });
    try {
      expect((await rig.send({ headers: { "x-delay-ms": "900" } })).status).toBe(200);
      expect(rig.upstream.seen.at(-1)?.headers).toHaveProperty("x-request", "handled");
      expect((await rig.send({ headers: { "x-delay-ms": "10000" } })).status).toBe(500);
      expect(rig.logLines.at(-1)).toMatchObject({ fault: "handler_timeout", outcome: "grpc_error" });
      expect(await rig.counters()).toMatchObject({
        override_message_timeout_received: 2,
        override_message_timeout_ignored: 0,
        message_timeouts: 0,
        spurious_msgs_received: 0,
      });
    } finally {
      await rig.stop();
    }
  }, 30_000);

  test("the timeout of a handler is reduced to Envoy's message timeout if no maximum is declared, which the log says at the start", async () => {
    const rig = await startEnvoyRig(slow, { message_timeout: "0.2s" });
    try {
      expect(rig.logLines[0]).toMatchObject({
        level: "warn",
        msg: expect.stringMatching(/timeoutMs of 1500 is cut to 150/),
      });
      // Not Envoy's 504: the fault came first.
      expect((await rig.send({ headers: { "x-delay-ms": "10000" } })).status).toBe(500);
      expect((await rig.counters()).message_timeouts).toBe(0);
    } finally {
      await rig.stop();
    }
  }, 30_000);
});

describe.skipIf(envoyBinary === undefined)("a server that has to go while a handler hangs", () => {
  test.each([
    ["closed", 503],
    ["open", 200],
    ["envoy", 500],
  ] as const)(
    "a server that stops while a handler hangs gives its client, under the policy %s, %d",
    async (onFault, expected) => {
      let entered: () => void = () => undefined;
      const inHandler = new Promise<void>((resolve) => {
        entered = resolve;
      });
      const hanging = defineProcessor({
        name: "hanging",
        timeoutMs: 60_000,
        onFault,
        requestHeaders() {
          entered();
          return new Promise<undefined>(() => undefined);
        },
      });
      const options = { envoy: { messageTimeoutMs: 60_000 }, drainGraceMs: 50 };
      const rig = await startEnvoyRig(hanging, { message_timeout: "60s" }, "admin", options);
      try {
        const response = rig.send({});
        await inHandler;
        await rig.server.drain();
        expect((await response).status).toBe(expected);
        expect(rig.logLines).toContainEqual(
          expect.objectContaining({ fault: "server_draining", outcome: OUTCOMES[onFault] }),
        );
      } finally {
        await rig.stop();
      }
    },
    30_000,
  );
});
