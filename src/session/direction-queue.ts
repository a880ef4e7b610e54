import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { RunRule, RunRules } from "../processor/run-rules.ts";
import { MARGIN_MS } from "../processor/time-limit.ts";
import type { Exchange } from "../protocol/exchange/exchange.ts";
import type { Direction, PhaseMessage } from "../protocol/phase.ts";
import { type AnswerOwner, AwaitedAnswer, type Timers } from "./answer-time.ts";
import type { SendEarly } from "./body/body-flow.ts";
import type { RunResult } from "./body/body-runner.ts";
import type { LateHandlers } from "./late-handlers.ts";
import type { SessionOutlet } from "./session-observer.ts";

/** The messages of one direction, which are answered in their order. */
export class DirectionQueue {
  /** An answer that asynchronous handlers owe; what comes meanwhile waits. */
  awaited: AwaitedAnswer | undefined = undefined;
  /** Index of the definition whose handler is at work, where it is asynchronous. */
  at = 0;
  /** There once a message had to wait. */
  #waiting: ProcessingRequest[] | undefined;

  /** How many messages wait. */
  get length(): number {
    return this.#waiting === undefined ? 0 : this.#waiting.length;
  }

  /** Has a message wait behind those that do. */
  wait(message: ProcessingRequest): void {
    this.#waiting ??= [];
    this.#waiting.push(message);
  }

  /** The message that waits longest, which does so no more. */
  next(): ProcessingRequest | undefined {
    return this.#waiting?.shift();
  }

  /** Forgets the messages that wait. */
  clear(): void {
    this.#waiting = undefined;
  }

  /** The handler of the definition with this index is at work. */
  work(index: number, rule: RunRule | undefined): void {
    this.at = index;
    if (rule) this.awaited?.continueWith(rule.limit);
  }

  /** Waits for handlers at work, which owe the answer to a message. */
  await(
    owner: AnswerOwner,
    message: PhaseMessage,
    {
      answer,
      timers,
      rules,
    }: { readonly answer: Promise<RunResult>; readonly timers: Timers; readonly rules: RunRules },
  ): void {
    const rule = rules.rules[this.at];
    if (rule) this.awaited = new AwaitedAnswer(owner, message, { answer, timers, limit: rule.limit });
  }

  /** Waits no more for handlers at work, which are late from here on; gives what they were to answer. */
  abandon(late: LateHandlers): PhaseMessage | undefined {
    const { awaited } = this;
    const message = awaited?.message;
    this.awaited = undefined;
    awaited?.abandon(late);
    return message;
  }
}

/** Those of a transaction. */
export class DirectionQueues {
  readonly request: DirectionQueue = new DirectionQueue();
  readonly response: DirectionQueue = new DirectionQueue();

  /** Messages that wait for a handler to settle. */
  get backlog(): number {
    return this.request.length + this.response.length;
  }

  /** True while an answer waits for a handler. */
  get running(): boolean {
    return this.request.awaited !== undefined || this.response.awaited !== undefined;
  }

  /**
   * For how long Envoy has to be asked to wait, in milliseconds, as it extends both directions by that, and each of them
   * once: so for all that is waited for, and may be yet.
   */
  wantedTimeMs(grantMs: number, { longestTimeoutMs, declaration }: RunRules): number {
    const wanted = ({ awaited }: DirectionQueue) =>
      awaited === undefined ? grantMs : longestTimeoutMs - awaited.passedMs + MARGIN_MS;
    return Math.min(Math.max(wanted(this.request), wanted(this.response)), declaration.maxMessageTimeoutMs);
  }

  /** By name: with two names for one place in the code engines look each up in a table. */
  of(direction: Direction): DirectionQueue {
    return direction === "request" ? this.request : this.response;
  }
}

/** What early answers go through. */
export interface EarlyAnswersOptions {
  readonly exchange: Exchange;
  readonly outlet: SessionOutlet;
  readonly queues: Readonly<Record<Direction, DirectionQueue>>;
}

/**
 * Answers that do not wait for the end of their message, in FULL_DUPLEX_STREAMED. A handler's time begins anew with each,
 * and stands still while the peer does not read. Undefined for an outlet that keeps all answers and tells no end of its room.
 */
export function earlyAnswers({ exchange, outlet, queues }: EarlyAnswersOptions): SendEarly | undefined {
  if (outlet.drained === undefined) return undefined;
  return (direction, first) => {
    for (const response of exchange.answerEarly(first, direction)) outlet.send(response);
    const queue = queues[direction];
    const drained = outlet.drained?.();
    if (drained === undefined) {
      queue.awaited?.restart();
      return undefined;
    }
    return untilDrained(queue, drained);
  };
}

async function untilDrained(queue: DirectionQueue, drained: Promise<void>): Promise<void> {
  // A handler that has not waited for anything yet is awaited by nobody: that begins in this turn.
  await undefined;
  const { awaited } = queue;
  awaited?.pause();
  await drained;
  awaited?.restart();
}
