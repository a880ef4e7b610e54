import { describe, expect, test } from "vitest";
import { DEFAULT_BODY_BUDGET } from "../../src/memory/body-budget.ts";
import { type Played, play, type Scene, scenes } from "./body-attacks/scene.ts";
import { bounded, fc } from "./seed.ts";

/** The client, or the upstream, can see that something failed. */
function hasFailed({ transaction: { response } }: Played): boolean {
  // Envoy answers a gRPC client with status 200 and a gRPC status.
  return response.end !== "complete" || (response.status ?? 0) >= 400 || response.headers["grpc-status"] !== undefined;
}

function expectWholeOrFailed(played: Played): void {
  const { transaction } = played;
  const { request, response, faults } = transaction;
  expect(response.end).not.toBe("stalled");
  // In STREAMED trailers hide the end of a body: its tail is lost, and the loss is counted if the server can know of
  // it.
  if (played.hidesEnd || faults.some(({ code }) => code === "tail_undeliverable")) return;
  if (request?.complete === true) expect(played).toSatisfy(() => played.isWhole("request"));
  if (hasFailed(played)) return;
  expect(request?.complete).toBe(true);
  expect(played).toSatisfy(() => played.isWhole("response"));
}

/** Bytes that handlers which never settle have held so far. */
let keptBytes = 0;

function expectNothingLeft({ transaction, attack }: Played, { act, abortAfterMs }: Scene): void {
  const hangs = act === "hang" && attack.met;
  expect(DEFAULT_BODY_BUDGET.share.heldBytes).toBeGreaterThanOrEqual(keptBytes);
  // The bytes that a handler got stay counted until it settles.
  if (hangs) keptBytes = DEFAULT_BODY_BUDGET.share.heldBytes;
  expect(DEFAULT_BODY_BUDGET.share.heldBytes).toBe(keptBytes);
  // A generator that hangs never reaches its `finally`.
  expect(attack.begun - attack.finished).toBeLessThanOrEqual(hangs ? 1 : 0);
  if (transaction.counters.streams_started !== undefined) expect(attack.done).toBeLessThanOrEqual(1);
  if (attack.met && abortAfterMs === undefined) {
    expect(attack.done).toBe(1);
    expect(transaction.faults.length).toBeGreaterThan(0);
  }
}

describe("a failure anywhere in a body", () => {
  test("a throw, a rejection, a hang or an abort anywhere in a body gives a whole body or a visible failure, in every mode, under every policy, and leaves nothing behind", async () => {
    await fc.assert(
      fc.asyncProperty(scenes, async (scene) => {
        const played = await play(scene);
        // Generators end a few turns after their source.
        await new Promise((resolve) => setImmediate(resolve));
        expectWholeOrFailed(played);
        expectNothingLeft(played, scene);
      }),
      bounded(400),
    );
  });
});
