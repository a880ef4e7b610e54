import { compactBytes } from "../owned-bytes.ts";
import { brotliTurns } from "./brotli-turns.ts";
import { type CodingFailure, classifyEngineError, codingFailure } from "./coding-failure.ts";
import type { Coding } from "./content-encoding.ts";
import type { Engine } from "./engine.ts";

/** Receives the output. The rest waits until the returned promise is resolved. After a failure the rest is dropped. */
export type Deliver = (piece: Uint8Array<ArrayBuffer>) => Promise<CodingFailure | undefined> | undefined;

/** Options of {@link Coder}. */
export interface CoderOptions {
  readonly coding: Coding;
  readonly engine: Engine;
  /** Counts the output. Returns a code if there is too much of it. */
  readonly use?: ((bytes: number) => "too_large" | "ratio" | undefined) | undefined;
  /** The decoder has a large window: after its step, other such decoders rest ({@link brotliTurns}). */
  readonly restsAfterStep?: boolean | undefined;
  /** True if the body began as gzip does. */
  readonly gzipBegan?: (() => boolean) | undefined;
}

/** A brotli decoder fills a window of 16 MiB in about 35 ms. */
const LONGEST_STEP_MS = 50;

type Settle = (failure: CodingFailure | undefined) => void;

/**
 * One coding of one body at work: an engine with promises instead of events. One call at a time. After a failure every
 * call returns the same failure, and the engine's memory is freed.
 */
export class Coder {
  readonly #options: CoderOptions;
  readonly #engine: Engine;
  #fed = 0;
  #deliver: Deliver | undefined;
  #settle: Settle | undefined;
  #failure: CodingFailure | undefined;
  #isDelivering = false;
  /** The engine has taken the chunk, or has produced its last piece. */
  #stepDone = false;
  #ended = false;
  /** True while no other brotli decoder may begin a step: this one has not produced output yet. */
  #hasTurn = false;

  constructor(options: CoderOptions) {
    this.#options = options;
    this.#engine = options.engine;
    this.#engine.on("data", (piece) => this.#take(piece));
    this.#engine.on("end", () => {
      this.#ended = true;
      this.#finishStep();
    });
    this.#engine.on("error", (error) => {
      this.#endTurn();
      this.fail(classifyEngineError(error, options.coding, options.gzipBegan?.() === true));
    });
  }

  /** Feeds a chunk, and delivers the output. */
  push(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> {
    this.#fed += chunk.length;
    return this.#step(deliver, () => {
      const decodesBrotli = this.#options.coding === "br" && this.#options.use !== undefined;
      if (!decodesBrotli) this.#write(chunk);
      else
        brotliTurns.begin({
          begin: () => this.#writeInTurn(chunk),
          refuse: () => this.fail(codingFailure("busy", "br")),
          largeDecoder: this.#largeDecoder,
        });
    });
  }

  #writeInTurn(chunk: Uint8Array): void {
    // The coder can be closed while it waits.
    if (this.#failure !== undefined) {
      brotliTurns.end();
      return;
    }
    this.#hasTurn = true;
    this.#write(chunk);
  }

  #write(chunk: Uint8Array): void {
    this.#engine.write(chunk, (error) => {
      // An error has its own event.
      if (error === undefined || error === null) this.#finishStep();
    });
  }

  get #largeDecoder(): Coder | undefined {
    return this.#options.restsAfterStep ? this : undefined;
  }

  #endTurn(): void {
    if (!this.#hasTurn) return;
    this.#hasTurn = false;
    brotliTurns.end(this.#largeDecoder);
  }

  /** Delivers the rest. */
  async end(deliver: Deliver): Promise<CodingFailure | undefined> {
    const failure = await this.#step(deliver, () => (this.#ended ? this.#finishStep() : this.#engine.end()));
    this.#engine.destroy();
    return failure;
  }

  /** Ends the coding early. */
  fail(failure: CodingFailure): void {
    // A closed engine does not say when its step ends.
    if (this.#hasTurn) setTimeout(() => brotliTurns.end(this.#largeDecoder), LONGEST_STEP_MS);
    this.#hasTurn = false;
    this.#failure ??= failure;
    this.#engine.destroy();
    this.#settleStep();
  }

  #step(deliver: Deliver, begin: () => void): Promise<CodingFailure | undefined> {
    if (this.#failure !== undefined) return Promise.resolve(this.#failure);
    this.#deliver = deliver;
    this.#stepDone = false;
    return new Promise((resolve) => {
      this.#settle = resolve;
      begin();
    });
  }

  #take(piece: Uint8Array<ArrayBuffer>): void {
    this.#endTurn();
    if (this.#failure !== undefined) return;
    const excess = this.#options.use?.(piece.length);
    if (excess !== undefined) {
      this.fail(codingFailure(excess, this.#options.coding));
      return;
    }
    const delivered = this.#deliver?.(compactBytes(piece));
    if (delivered !== undefined) void this.#wait(delivered);
    else if (this.#stepDone) this.#settleStep();
  }

  async #wait(delivered: Promise<CodingFailure | undefined>): Promise<void> {
    this.#isDelivering = true;
    this.#engine.pause();
    const failure = await delivered;
    this.#isDelivering = false;
    if (failure !== undefined) {
      this.fail(failure);
    } else {
      this.#engine.resume();
      if (this.#stepDone) this.#settleStep();
    }
  }

  #finishStep(): void {
    this.#endTurn();
    this.#stepDone = true;
    if (this.#engine.bytesWritten < this.#fed && this.#options.use !== undefined) {
      this.fail(codingFailure("trailing_data", this.#options.coding));
    } else {
      this.#settleStep();
    }
  }

  /** Ends a step if all its output was delivered. */
  #settleStep(): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    if (this.#failure === undefined && (this.#isDelivering || this.#engine.readableLength > 0)) return;
    this.#settle = undefined;
    this.#deliver = undefined;
    settle(this.#failure);
  }
}
