import { setTimeout as delay } from "node:timers/promises";

/** Share of the thread's time that the task may take. */
const MAX_SHARE = 1 / 10;
/** Longest pause between two runs. */
const MAX_PAUSE_MS = 100;

/** How many may wait for a {@link SharedTask}. */
export interface SharedTaskLimits {
  /** Of all connections. Default 64: as many connections as the status listener takes. */
  readonly maxWaiting?: number | undefined;
  /** Of one connection, so that one client cannot keep the others out. Default 4. */
  readonly maxWaitingOfConnection?: number | undefined;
}

/**
 * A task that costs more than the request that asks for it, such as reading all metrics. All who wait share one run, which begins
 * after they have asked: its result is never older than the question. A run is followed by a pause of nine times its
 * duration, 100 ms at most: a task of up to 11 ms takes a tenth of the thread's time at most, however often it is asked for.
 */
export class SharedTask<T> {
  readonly #run: () => Promise<T>;
  readonly #maxWaiting: number;
  readonly #maxWaitingOfConnection: number;
  /** When the next run may begin, on the clock of performance.now(). */
  #notBeforeMs = 0;
  #waiting = 0;
  #waitingByConnection = new WeakMap<object, number>();
  /** The run that will begin, for all who ask until then. */
  #next: Promise<T> | undefined;
  /** The run under way. */
  #current: Promise<unknown> = Promise.resolve();

  constructor(run: () => Promise<T>, { maxWaiting = 64, maxWaitingOfConnection = 4 }: SharedTaskLimits = {}) {
    this.#run = run;
    this.#maxWaiting = maxWaiting;
    this.#maxWaitingOfConnection = maxWaitingOfConnection;
  }

  /**
   * The result of a run that begins now or later; undefined if too many wait for it.
   *
   * @param connection Stands for the connection of the client that asks.
   */
  ask(connection: object): Promise<T> | undefined {
    const ofConnection = this.#waitingByConnection.get(connection) ?? 0;
    if (this.#waiting >= this.#maxWaiting || ofConnection >= this.#maxWaitingOfConnection) return undefined;
    this.#waiting++;
    this.#waitingByConnection.set(connection, ofConnection + 1);
    this.#next ??= this.#begin();
    return this.#next;
  }

  async #begin(): Promise<T> {
    await this.#current;
    const pauseMs = this.#notBeforeMs - performance.now();
    // The process need not live for it.
    if (pauseMs > 0) await delay(pauseMs, undefined, { ref: false });
    // Who asks from here on waits for another run.
    this.#next = undefined;
    this.#waiting = 0;
    this.#waitingByConnection = new WeakMap();
    const startMs = performance.now();
    const result = this.#run();
    this.#current = result.then(
      () => this.#pause(startMs),
      () => this.#pause(startMs),
    );
    return result;
  }

  #pause(startMs: number): void {
    const endMs = performance.now();
    this.#notBeforeMs = endMs + Math.min(MAX_PAUSE_MS, (endMs - startMs) * (1 / MAX_SHARE - 1));
  }
}
