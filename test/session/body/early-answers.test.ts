import { describe, expect, test } from "vitest";
import { compose, defineProcessor, replaceBody } from "../../../src/index.ts";
import type { SessionEnd } from "../../../src/session/session-observer.ts";
import type { SessionOptions } from "../../../src/session/session-options.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../../protocol/messages.ts";
import { ManualTimers } from "../manual-timers.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const PIECE = new Uint8Array(100_000);

/** A handler that makes many pieces of each chunk, and a count of the requested pieces. */
function expander(count: number, onFault: "open" | "envoy" = "envoy", failAt = Number.POSITIVE_INFINITY) {
  const pulled = { pieces: 0, over: false };
  const processor = defineProcessor({
    name: "p",
    onFault,
    responseBody: {
      read: "stream",
      async *handle(chunks) {
        try {
          for await (const _chunk of chunks) {
            for (let at = 0; at < count; at++) {
              if (at === failAt) throw new Error("boom");
              pulled.pieces++;
              yield PIECE;
            }
          }
        } finally {
          pulled.over = true;
        }
      },
    },
  });
  return { processor, pulled };
}

/** An outlet to a client that reads only when the test tells it to. */
function slowOutlet(recorded: string[]) {
  let release: (() => void) | undefined;
  let sent = 0;
  const outlet = {
    send: ({ response }: { response: { case: string | undefined } }) => {
      sent++;
      recorded.push(response.case ?? "none");
    },
    ended: ({ error }: { error?: { code: string } }) => {
      recorded.push(`ended: ${error?.code ?? "ok"}`);
      release?.();
    },
    drained: () => new Promise<void>((resolve) => (release = resolve)),
  };
  return {
    outlet: outlet as unknown as SessionOptions["outlet"],
    read: () => release?.(),
    sent: () => sent,
  };
}

const settled = async () => {
  for (let turn = 0; turn < 200; turn++) await undefined;
};

const DUPLEX = headersOf("responseHeaders", [[":status", "200"]], bodyModes("FULL_DUPLEX_STREAMED"));
const chunk = (endOfStream = true) => bodyOf("responseBody", "x", { endOfStream });

describe("a handler that makes a long output from a short input in FULL_DUPLEX_STREAMED", () => {
  test("a handler with a long output is asked for more only as Envoy reads", async () => {
    const { processor, pulled } = expander(1000);
    const log: string[] = [];
    const { outlet, read } = slowOutlet(log);
    const { receive } = recordSession(processor, { outlet });
    receive(DUPLEX, chunk());
    await settled();
    expect(pulled.pieces).toBe(3);
    for (let round = 2; round <= 20; round++) {
      read();
      await settled();
      expect(pulled.pieces).toBe(3 * round);
    }
  });

  test("a long output leaves whole, in order, with one end", async () => {
    const { processor } = expander(50);
    const { receive, answers } = recordSession(processor);
    receive(DUPLEX, chunk(false), chunk());
    const bodies = () =>
      answers.flatMap(({ response }) =>
        response.case === "responseBody" && response.value.response?.bodyMutation?.mutation.case === "streamedResponse"
          ? [response.value.response.bodyMutation.mutation.value]
          : [],
      );
    await expect.poll(() => bodies().at(-1)?.endOfStream).toBe(true);
    expect(bodies().reduce((sum, { body }) => sum + body.length, 0)).toBe(100 * PIECE.length);
    expect(bodies().filter(({ endOfStream }) => endOfStream)).toHaveLength(1);
    expect(Math.max(...bodies().map(({ body }) => body.length))).toBeLessThanOrEqual(64 << 10);
  });

  test("a long output leaves before trailers", async () => {
    const { processor } = expander(50);
    const { receive, log } = recordSession(processor);
    receive(DUPLEX, chunk(false), trailersOf("responseTrailers"));
    await expect.poll(() => log.at(-1)).toBe("responseTrailers");
    expect(log.filter((name) => name === "responseBody").length).toBeGreaterThan(70);
  });

  test("a long output lets the headers go first if their answer was held back", async () => {
    const whole = defineProcessor({
      name: "w",
      responseBody: { read: "whole", handle: () => replaceBody(new Uint8Array(10)) },
    });
    const { processor } = expander(50);
    const { receive, log } = recordSession(compose(processor, whole));
    receive(DUPLEX, chunk(false));
    expect(log).toEqual([]);
    receive(chunk());
    await expect.poll(() => log.length).toBeGreaterThan(70);
    expect(log.slice(0, 2)).toEqual(["responseHeaders", "responseBody"]);
    expect(log.filter((name) => name === "responseHeaders")).toHaveLength(1);
  });

  test("a handler with a long output ends when Envoy has left", async () => {
    const { processor, pulled } = expander(1000);
    const log: string[] = [];
    const { outlet } = slowOutlet(log);
    const { receive, session } = recordSession(processor, { outlet });
    receive(DUPLEX, chunk());
    await settled();
    session.cancel();
    await settled();
    expect(pulled).toEqual({ pieces: 3, over: true });
  });

  test("a handler with a long output cannot pass the original body once a part of the output has left", async () => {
    const { processor } = expander(50, "open", 20);
    const { receive, ends } = recordSession(processor);
    receive(DUPLEX, chunk());
    await expect.poll(() => ends[0]?.error?.code).toBe("handler_threw");
  });

  test("a handler with a long output has its full time for each part, and no timer runs while Envoy does not read", async () => {
    const timers = new ManualTimers();
    const { processor, pulled } = expander(1000);
    const log: string[] = [];
    const { outlet, read } = slowOutlet(log);
    const { receive } = recordSession(processor, { outlet, timers });
    receive(DUPLEX, chunk());
    await settled();
    timers.advance(10_000);
    read();
    await settled();
    timers.advance(10_000);
    expect(pulled.pieces).toBe(6);
    expect(log.at(-1)).toBe("responseBody");
  });
});

describe("a handler that makes a long output from a short input if all of it leaves at once", () => {
  test.each(["STREAMED", "BUFFERED"] as const)(
    "a handler whose whole output leaves at once is stopped at the limit of the transaction, in %s",
    async (mode) => {
      const { processor, pulled } = expander(1000);
      const budget = budgetOf(10_000_000, 1_000_000);
      const { receive, ends } = recordSession(processor, { bodyBudget: budget });
      receive(headersOf("responseHeaders", [[":status", "200"]], bodyModes(mode)), chunk());
      await expect.poll(() => ends[0]?.fault?.code).toBe("body_too_large");
      expect(pulled.pieces).toBeLessThan(20);
      expect(budget.refusals.stream.reject).toBe(1);
      expect(budget.share.heldBytes).toBe(0);
    },
  );

  test("a handler is stopped in FULL_DUPLEX_STREAMED if all answers are held back", async () => {
    const { processor, pulled } = expander(1000);
    const budget = budgetOf(10_000_000, 1_000_000);
    const ended: string[] = [];
    const outlet = { send: () => undefined, ended: ({ fault }: SessionEnd) => void ended.push(fault?.code ?? "none") };
    const { receive } = recordSession(processor, { bodyBudget: budget, outlet });
    receive(DUPLEX, chunk());
    await expect.poll(() => ended).toEqual(["body_too_large"]);
    expect(pulled.pieces).toBeLessThan(20);
  });

  test("a handler may make as many bytes as may be held, and they are given back", async () => {
    const { processor } = expander(9);
    const budget = budgetOf(10_000_000, 1_000_000);
    const { receive, log } = recordSession(processor, { bodyBudget: budget });
    receive(headersOf("responseHeaders", [[":status", "200"]], bodyModes("STREAMED")), chunk());
    await expect.poll(() => log).toEqual(["responseHeaders", "responseBody"]);
    expect(budget.share.heldBytes).toBe(0);
    expect(budget.share.peakBytes).toBeGreaterThan(500_000);
  });
});
