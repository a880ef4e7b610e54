import type { Direction } from "../../protocol/phase.ts";
import { ChunkQueue } from "../http/chunk-queue.ts";
import type { FilterPath } from "../http/filter-path.ts";
import type { HeaderMap } from "../http/header-map.ts";
import type { DirectionMode } from "../settings/processing-mode.ts";
import type { MessageTimer } from "./message-timer.ts";

/**
 * The answer that a direction waits for. `buffered_body` is also the state of a body that was complete before the
 * headers were answered, in any mode. `streamed_body` is the state in STREAMED and FULL_DUPLEX_STREAMED.
 */
export type CallbackState =
  | "idle"
  | "headers"
  | "buffered_body"
  | "streamed_body"
  | "buffered_partial_body"
  | "trailers";

/** The filter's state of one direction of a transaction. The two directions do not know each other. */
export class FilterDirection {
  readonly direction: Direction;
  readonly path: FilterPath;
  readonly timer: MessageTimer;
  readonly queue = new ChunkQueue();
  mode: DirectionMode;
  waitsFor: CallbackState = "idle";
  /** True if the path was stopped, and must continue when it waits for nothing. */
  paused = false;
  /** True after the last answer of this direction, as far as Envoy checks. */
  answered = false;
  /** True if the headers ended the HTTP message. */
  hasNoBody = false;
  /** True after the whole HTTP message has arrived. */
  complete = false;
  /** True after CONTINUE_AND_REPLACE with a body: the sender's own body is dropped. */
  bodyReplaced = false;
  /** True after a part of the body has arrived, also if it was empty. */
  bodyReceived = false;
  /** True after a part of the body was sent to the server. */
  bodySent = false;
  /** True after the answer to a BUFFERED_PARTIAL body: the rest of the body is not sent to the server. */
  partialBodyProcessed = false;
  attributesSent = false;
  trailersSent = false;
  /** The headers, while an answer can still change them. */
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  #watermark = false;

  constructor(direction: Direction, mode: DirectionMode, parts: { path: FilterPath; timer: MessageTimer }) {
    this.direction = direction;
    this.mode = mode;
    this.path = parts.path;
    this.timer = parts.timer;
  }

  /** True if nothing of this direction is sent to the server. */
  get isSkipped(): boolean {
    const { sendHeaders, sendTrailers, body } = this.mode;
    return !sendHeaders && !sendTrailers && body === "NONE";
  }

  /** True if no more answers can be needed. */
  get isDone(): boolean {
    return this.answered || this.isSkipped;
  }

  /** Stops the timer: an answer came, or none will come. */
  finishCall(next: CallbackState = "idle"): void {
    this.timer.stop();
    this.waitsFor = next;
  }

  /** Lets the path continue if it was stopped because of the server. */
  resumeIfPaused(): void {
    if (!this.paused) return;
    this.paused = false;
    this.path.resume();
  }

  /** Makes the source wait. */
  raiseWatermark(): void {
    if (this.#watermark) return;
    this.#watermark = true;
    this.path.raiseWatermark();
  }

  /** Lets the source continue. */
  clearWatermark(): void {
    if (!this.#watermark) return;
    this.#watermark = false;
    this.path.lowerWatermark();
  }
}
