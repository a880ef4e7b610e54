import type { AnswerPrelude } from "../protocol/answers/answer.ts";
import type { Exchange } from "../protocol/exchange/exchange.ts";
import type { Direction } from "../protocol/phase.ts";
import type { DirectionQueue } from "./direction-queue.ts";
import type { SessionOutlet } from "./session-observer.ts";

/** Sends pieces of a body while its handlers still make more. A promise holds them back until there is room again. */
export type SendEarly = (direction: Direction, first: AnswerPrelude) => Promise<void> | undefined;

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
