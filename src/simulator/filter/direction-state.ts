import type { Direction } from "../../protocol/phase.ts";
import { ChunkQueue } from "../http/chunk-queue.ts";
import type { FilterPath } from "../http/filter-path.ts";
import type { HeaderMap } from "../http/header-map.ts";
import type { DirectionMode } from "../settings/processing-mode.ts";
import type { MessageTimer } from "./message-timer.ts";

/**
 * The answer that a direction waits for. `buffered_body` is also the state of a body that was there as a whole before
 * the answer to the headers, whatever its mode; `streamed_body` is that of STREAMED and FULL_DUPLEX_STREAMED.
 */
export type CallbackState =
  | "idle"
  | "headers"
  | "buffered_body"
  | "streamed_body"
  | "buffered_partial_body"
  | "trailers";

/** One direction of a transaction as the filter keeps it. The two know nothing of each other. */
export class FilterDirection {
  readonly direction: Direction;
  readonly path: FilterPath;
  readonly timer: MessageTimer;
  readonly queue = new ChunkQueue();
  mode: DirectionMode;
  waitsFor: CallbackState = "idle";
  /** The path was stopped, and must continue when there is nothing to wait for. */
  paused = false;
  /** Its last answer came, as far as Envoy looks. */
  answered = false;
  /** The headers ended the message. */
  hasNoBody = false;
  /** The message is here as a whole. */
  complete = false;
  /** CONTINUE_AND_REPLACE came with a body: the sender's own body is dropped. */
  bodyReplaced = false;
  /** Part of a body came, empty or not. */
  bodyReceived = false;
  /** Part of a body was sent to the server. */
  bodySent = false;
  /** BUFFERED_PARTIAL has had its answer: the rest passes by. */
  partialBodyProcessed = false;
  attributesSent = false;
  trailersSent = false;
  /** The headers, as long as an answer may change them. */
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  #watermark = false;

  constructor(direction: Direction, mode: DirectionMode, parts: { path: FilterPath; timer: MessageTimer }) {
    this.direction = direction;
    this.mode = mode;
    this.path = parts.path;
    this.timer = parts.timer;
  }

  /** Nothing of this direction is sent. */
  get isSkipped(): boolean {
    const { sendHeaders, sendTrailers, body } = this.mode;
    return !sendHeaders && !sendTrailers && body === "NONE";
  }

  /** No answer can be needed any more. */
  get isDone(): boolean {
    return this.answered || this.isSkipped;
  }

  /** An answer came, or none will: the timer stops. */
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

  /** Asks the source to wait. */
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
