import { describe, expect, test } from "vitest";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import type { EditablePhase, Effect } from "../../src/processor/effect.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { directionOf, PHASES, type Phase } from "../../src/protocol/phase.ts";
import { changesOf, type RecordedSession, recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";
import { type ScriptedTransaction, transactionArbitrary } from "./transactions.ts";

const EDITABLE = PHASES.filter((phase): phase is EditablePhase => !phase.endsWith("Body"));

/** The phases that have a handler, and the phases whose handler is asynchronous. */
const handlersArbitrary = fc.record({
  requestHeaders: fc.constantFrom("none", "sync", "async"),
  requestTrailers: fc.constantFrom("none", "sync", "async"),
  responseHeaders: fc.constantFrom("none", "sync", "async"),
  responseTrailers: fc.constantFrom("none", "sync", "async"),
});
type Handlers = Readonly<Record<EditablePhase, string>>;

/** Handlers that name their phase. The scheduler decides when and in which order the asynchronous ones settle. */
function processorOf(handlers: Handlers, scheduler: fc.Scheduler): Processor {
  const handler = (phase: EditablePhase) => {
    const effect: Effect<EditablePhase> = setHeader("x-phase", phase);
    if (handlers[phase] === "none") return undefined;
    return handlers[phase] === "sync" ? () => effect : () => scheduler.schedule(Promise.resolve(effect), phase);
  };
  return defineProcessor({
    name: "scheduled",
    ...Object.fromEntries(EDITABLE.map((phase) => [phase, handler(phase)])),
  });
}

function phasesOf({ messages }: ScriptedTransaction): Phase[] {
  return messages.flatMap(({ request }) => (request.case === undefined ? [] : [request.case]));
}

function ofDirection(log: readonly string[], direction: string): string[] {
  return log.filter(
    (entry) => (PHASES as readonly string[]).includes(entry) && directionOf(entry as Phase) === direction,
  );
}

/**
 * Sends a transaction as Envoy does: a message waits for the answers to earlier ones, except pieces and trailers of a body
 * in the full-duplex modes. A response begins when its request has left.
 */
async function deliver(
  { session, receive }: RecordedSession,
  { messages, modes }: ScriptedTransaction,
  scheduler: fc.Scheduler,
): Promise<void> {
  const begun = new Set<string>();
  for (const message of messages) {
    const { case: phase } = message.request;
    if (phase !== undefined) {
      const direction = directionOf(phase);
      const isWaitedFor = !/^(?:FULL_DUPLEX_STREAMED|GRPC|unknown)$/.test(modes[direction] ?? "unknown");
      const beginsResponse = direction === "response" && !begun.has(direction);
      begun.add(direction);
      if (isWaitedFor || beginsResponse) while (session.running) await scheduler.waitNext(1);
    }
    receive(message);
  }
}

/** Several answers to one piece of a full-duplex body count as one. */
function withoutRepeatedBodies(phases: readonly string[]): string[] {
  return phases.filter((phase, index) => !phase.endsWith("Body") || phases[index - 1] !== phase);
}

describe("a session of random handlers", () => {
  test("a session answers each direction in its order, completely, and then completes", async () => {
    await fc.assert(
      fc.asyncProperty(
        transactionArbitrary,
        handlersArbitrary,
        fc.scheduler(),
        async (transaction, handlers, scheduler) => {
          const recorded = recordSession(processorOf(handlers, scheduler));
          await deliver(recorded, transaction, scheduler);
          recorded.session.finish();
          await scheduler.waitIdle();
          const phases = transaction.observabilityMode ? [] : phasesOf(transaction);
          for (const direction of ["request", "response"]) {
            expect(withoutRepeatedBodies(ofDirection(recorded.log, direction))).toEqual(
              withoutRepeatedBodies(ofDirection(phases, direction)),
            );
          }
          expect(recorded.log.at(-1)).toBe("ended: completed");
          expect(recorded.ends).toHaveLength(1);
          expect([recorded.session.backlog, recorded.session.running]).toEqual([0, false]);
        },
      ),
      bounded(120),
    );
  });

  test("a session applies each handler's effect to its own message", async () => {
    await fc.assert(
      fc.asyncProperty(
        transactionArbitrary,
        handlersArbitrary,
        fc.scheduler(),
        async (transaction, handlers, scheduler) => {
          const recorded = recordSession(processorOf(handlers, scheduler));
          await deliver(recorded, transaction, scheduler);
          await scheduler.waitIdle();
          for (const answer of recorded.answers) {
            const phase = answer.response.case as Phase;
            const handled = handlers[phase as EditablePhase] ?? "none";
            expect(changesOf(answer)).toEqual(handled === "none" ? [] : [`x-phase = ${phase}`]);
          }
        },
      ),
      bounded(80),
    );
  });

  test("a session answers within receive() if no handler is asynchronous", () => {
    fc.assert(
      fc.property(transactionArbitrary, fc.scheduler(), (transaction, scheduler) => {
        fc.pre(!transaction.observabilityMode);
        const handlers = Object.fromEntries(EDITABLE.map((phase) => [phase, "sync"])) as Handlers;
        const recorded = recordSession(processorOf(handlers, scheduler));
        for (const message of transaction.messages) {
          const before = recorded.answers.length;
          recorded.receive(message);
          expect(recorded.answers.length > before).toBe(message.request.case !== undefined);
        }
      }),
      bounded(80),
    );
  });

  test("a session ends once and at once, wherever it is cancelled or shut down", async () => {
    const act = fc.constantFrom("cancel" as const, "shutDown" as const);
    await fc.assert(
      fc.asyncProperty(
        transactionArbitrary,
        handlersArbitrary,
        fc.scheduler(),
        fc.tuple(fc.nat(8), act),
        async (transaction, handlers, scheduler, [at, how]) => {
          const recorded = recordSession(processorOf(handlers, scheduler));
          await deliver(recorded, { ...transaction, messages: transaction.messages.slice(0, at) }, scheduler);
          const owed = recorded.session.running && !transaction.observabilityMode;
          // An end with OK would lose the bytes that Envoy has handed over.
          const fails = owed || (how === "shutDown" && isInsideBody(transaction, at));
          recorded.session[how]();
          const log = [...recorded.log];
          expect(log.at(-1)).toBe(
            `ended: ${fails ? { cancel: "unanswered", shutDown: "server_draining" }[how] : "completed"}`,
          );
          recorded.receive(...transaction.messages.slice(at));
          recorded.session.finish();
          await scheduler.waitIdle();
          expect(recorded.log).toEqual(log);
        },
      ),
      bounded(120),
    );
  });
});

/** True if a direction has begun and not ended after this many messages, in a mode in which Envoy keeps no copy. */
function isInsideBody({ modes, messages, observabilityMode }: ScriptedTransaction, count: number): boolean {
  if (observabilityMode) return false;
  return (["request", "response"] as const).some((direction) => {
    const own = messages.slice(0, count).flatMap(({ request }) => {
      return request.case !== undefined && directionOf(request.case) === direction ? [request] : [];
    });
    const ended = own.some(
      ({ value }) =>
        !("endOfStream" in value) ||
        value.endOfStream ||
        ("endOfStreamWithoutMessage" in value && value.endOfStreamWithoutMessage),
    );
    return /DUPLEX|GRPC/.test(modes[direction] ?? "") && own.length > 0 && !ended;
  });
}
