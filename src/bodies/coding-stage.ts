import { type CodingFailure, classifyEngineError, codingFailure } from "./coding-failure.ts";
import type { Coding } from "./content-encoding.ts";
import type { Engine } from "./engine.ts";
import { compactBytes } from "./owned-bytes.ts";

/** Takes what comes out. A promise holds back the rest until it is resolved; with a failure, for good. */
export type Deliver = (piece: Uint8Array<ArrayBuffer>) => Promise<CodingFailure | undefined> | undefined;

/** What a {@link CodingStage} is made of. */
export interface StageOptions {
  readonly coding: Coding;
  readonly engine: Engine;
  /** Counts what came out; a code once it is too much. */
  readonly use?: ((bytes: number) => "too_large" | "ratio" | undefined) | undefined;
  /** Whether the body began as gzip does. */
  readonly gzipBegan?: (() => boolean) | undefined;
}

type Settle = (failure: CodingFailure | undefined) => void;

/**
 * One coding of one body at work: an engine with its events made promises. One call at a time; after a failure every
 * call has the same one, and the engine's memory is freed.
 */
export class CodingStage {
  readonly #options: StageOptions;
  readonly #engine: Engine;
  #fed = 0;
  #deliver: Deliver | undefined;
  #settle: Settle | undefined;
  #failure: CodingFailure | undefined;
  #isDelivering = false;
  /** The engine has taken the chunk, or has put out its last piece. */
  #stepDone = false;
  #ended = false;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#engine = options.engine;
    this.#engine.on("data", (piece) => this.#take(piece));
    this.#engine.on("end", () => {
      this.#ended = true;
      this.#finishStep();
    });
    this.#engine.on("error", (error) => {
      this.fail(classifyEngineError(error, options.coding, options.gzipBegan?.() === true));
    });
  }

  /** Feeds a chunk, and delivers what it makes. */
  push(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> {
    this.#fed += chunk.length;
    return this.#step(deliver, () => {
      this.#engine.write(chunk, (error) => {
        // Where there is one, it has its own event.
        if (error === undefined || error === null) this.#finishStep();
      });
    });
  }

  /** Delivers the rest. */
  async end(deliver: Deliver): Promise<CodingFailure | undefined> {
    const failure = await this.#step(deliver, () => (this.#ended ? this.#finishStep() : this.#engine.end()));
    this.#engine.destroy();
    return failure;
  }

  /** Ends it early. */
  fail(failure: CodingFailure): void {
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
    this.#stepDone = true;
    if (this.#engine.bytesWritten < this.#fed && this.#options.use !== undefined) {
      this.fail(codingFailure("trailing_data", this.#options.coding));
    } else {
      this.#settleStep();
    }
  }

  /** A step is over when nothing of it is left in between. */
  #settleStep(): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    if (this.#failure === undefined && (this.#isDelivering || this.#engine.readableLength > 0)) return;
    this.#settle = undefined;
    this.#deliver = undefined;
    settle(this.#failure);
  }
}
