import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { MARGIN_MS } from "../processor/handler-timeout.ts";
import type { RunRule, RunRules } from "../processor/run-rules.ts";
import type { MessageExchange } from "../protocol/exchange/exchange.ts";
import type { Direction, PhaseMessage } from "../protocol/phase.ts";
import { type AnswerOwner, AwaitedAnswer, type Timers } from "./answer-timeout.ts";
import type { BodyOutlet, SendEarly } from "./body/body-output.ts";
import type { RunResult } from "./body/body-runner.ts";
import type { LateHandlers } from "./late-handlers.ts";
import type { SessionOutlet } from "./session-observer.ts";

/** The messages of one direction. They are answered in order. */
export class DirectionQueue {
  /** The answer that waits for asynchronous handlers. Messages that arrive meanwhile wait in the queue. */
  awaited: AwaitedAnswer | undefined = undefined;
  /** Index of the definition whose asynchronous handler is running. */
  at = 0;
  /** Created when the first message has to wait. */
  #waiting: ProcessingRequest[] | undefined;

  /** The number of waiting messages. */
  get length(): number {
    return this.#waiting === undefined ? 0 : this.#waiting.length;
  }

  /** Adds a message at the end of the queue. */
  wait(message: ProcessingRequest): void {
    this.#waiting ??= [];
    this.#waiting.push(message);
  }

  /** Removes and returns the message that has waited longest. */
  next(): ProcessingRequest | undefined {
    return this.#waiting?.shift();
  }

  /** Removes all waiting messages. */
  clear(): void {
    this.#waiting = undefined;
  }

  /** The handler of the definition with this index is running now. */
  work(index: number, rule: RunRule | undefined): void {
    this.at = index;
    if (rule) this.awaited?.continueWith(rule.limit);
  }

  /** Waits for running handlers whose answer a message needs. */
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

  /**
   * Stops waiting for running handlers, which are late from now on. Returns the message that waited for their answer.
   */
  abandon(late: LateHandlers): PhaseMessage | undefined {
    const { awaited } = this;
    const message = awaited?.message;
    this.awaited = undefined;
    awaited?.abandon(late);
    return message;
  }
}

/** Both queues of a transaction. */
export class DirectionQueues {
  readonly request: DirectionQueue = new DirectionQueue();
  readonly response: DirectionQueue = new DirectionQueue();

  /** The number of messages that wait for a handler to settle. */
  get backlog(): number {
    return this.request.length + this.response.length;
  }

  /** True while an answer waits for a handler. */
  get running(): boolean {
    return this.request.awaited !== undefined || this.response.awaited !== undefined;
  }

  /**
   * How long to ask Envoy to wait, in milliseconds. Envoy extends both directions by this time, and each direction only
   * once. So the time must cover everything that waits now, and everything that may still wait.
   */
  wantedTimeMs(grantMs: number, { longestTimeoutMs, declaration }: RunRules): number {
    const wanted = ({ awaited }: DirectionQueue) =>
      awaited === undefined ? grantMs : longestTimeoutMs - awaited.passedMs + MARGIN_MS;
    return Math.min(Math.max(wanted(this.request), wanted(this.response)), declaration.maxMessageTimeoutMs);
  }

  /** A conditional instead of `[direction]`, because engines look up a changing name in a table. */
  of(direction: Direction): DirectionQueue {
    return direction === "request" ? this.request : this.response;
  }
}

/** Creates the outlet of the bodies of a transaction. Early answers need an outlet that says when it has room. */
export function bodyOutlet(
  exchange: MessageExchange,
  queues: DirectionQueues,
  rules: RunRules,
  outlet: SessionOutlet,
): BodyOutlet {
  return {
    sendEarly: outlet.drained === undefined ? undefined : earlyAnswers(exchange, queues, outlet),
    waitsFor: (direction, index) => queues.of(direction).work(index, rules.rules[index]),
  };
}

/**
 * Creates the function that sends answers before the handling of their message has ended, in FULL_DUPLEX_STREAMED. Each
 * early answer restarts the handler's time. The time stops while Envoy does not read.
 */
function earlyAnswers(exchange: MessageExchange, queues: DirectionQueues, outlet: SessionOutlet): SendEarly {
  return (direction, first) => {
    for (const response of exchange.answerEarly(first, direction)) outlet.send(response);
    const queue = queues.of(direction);
    const drained = outlet.drained?.();
    if (drained === undefined) {
      queue.awaited?.restart();
      return undefined;
    }
    return untilDrained(queue, drained);
  };
}

async function untilDrained(queue: DirectionQueue, drained: Promise<void>): Promise<void> {
  // A handler that has not waited yet is not awaited: the waiting begins later in this turn of the event loop.
  await undefined;
  const { awaited } = queue;
  awaited?.pause();
  await drained;
  awaited?.restart();
}
