import { shedStream } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import type { ServerStream } from "./server-stream.ts";
import { isOver } from "./timeouts.ts";

/**
 * The time since which a stream has made no progress in each direction; undefined while its client need not do
 * anything.
 */
interface Waiting {
  messageSinceMs: number | undefined;
  answerSinceMs: number | undefined;
}

/**
 * Resets streams that hold memory while their client does nothing: half a message whose rest does not come, or answers
 * that the client's windows do not let out. Checked at each tick, and only while something is held.
 */
export class Stalls {
  readonly #context: ConnectionContext;
  /** The streams that hold something. Replaced in every check, so that it keeps no stream in memory. */
  #waiting = new Map<ServerStream, Waiting>();

  constructor(context: ConnectionContext) {
    this.#context = context;
  }

  check(nowMs: number): void {
    const { messages, answers, streams } = this.#context;
    const before = this.#waiting;
    if (before.size > 0) this.#waiting = new Map();
    if (messages.heldBytes === 0 && answers.heldBytes === 0) return;
    for (const stream of streams.values()) {
      if (!stream.isClosed && (stream.heldBytes > 0 || stream.queuedBytes > 0)) this.#look(stream, before, nowMs);
    }
  }

  #look(stream: ServerStream, before: ReadonlyMap<ServerStream, Waiting>, nowMs: number): void {
    const { limits, sender } = this.#context;
    const waiting = before.get(stream) ?? { messageSinceMs: undefined, answerSinceMs: undefined };
    // While the server does not read, or gives no window, the client is not to blame.
    const expectsData = stream.heldBytes > 0 && stream.awaitsRest && !sender.isReadingPaused;
    if (!expectsData) waiting.messageSinceMs = undefined;
    else if (stream.hasReceived || waiting.messageSinceMs === undefined) waiting.messageSinceMs = nowMs;
    if (stream.queuedBytes === 0) waiting.answerSinceMs = undefined;
    else if (stream.hasSent || waiting.answerSinceMs === undefined) waiting.answerSinceMs = nowMs;
    stream.hasReceived = false;
    stream.hasSent = false;
    if (isOver(nowMs - (waiting.messageSinceMs ?? nowMs), limits.messageStallTimeoutMs)) {
      shedStream(this.#context, stream, "message_stalled");
    } else if (isOver(nowMs - (waiting.answerSinceMs ?? nowMs), limits.answerStallTimeoutMs)) {
      shedStream(this.#context, stream, "answer_stalled");
    } else {
      this.#waiting.set(stream, waiting);
    }
  }
}
