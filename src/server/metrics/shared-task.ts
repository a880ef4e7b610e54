import { setTimeout as delay } from "node:timers/promises";

/** Share of the thread's time that the task may take in the long run. */
const MAX_SHARE = 1 / 10;
/** How much time of the task may be saved up while nobody asks. */
const MAX_SAVED_MS = 100;
/** Longest pause between two runs. */
const MAX_PAUSE_MS = 1_000;

/** How many may wait for a {@link SharedTask}. */
export interface SharedTaskLimits {
  /** Of all connections. Default 64: as many connections as the status listener takes. */
  readonly maxWaiting?: number | undefined;
  /** Of one connection, so that one client cannot keep the others out. Default 4. */
  readonly maxWaitingOfConnection?: number | undefined;
}

/**
 * A task that costs more than the request that asks for it, such as reading all metrics. All who wait share one run, which begins
 * after they have asked: its result is never older than the question. However often it is asked for, it takes a tenth of the
 * thread's time: after 100 ms of runs that follow each other there are pauses, of 1 s at most.
 */
export class SharedTask<T> {
  readonly #run: () => Promise<T>;
  readonly #maxWaiting: number;
  readonly #maxWaitingOfConnection: number;
  /** Time that runs may take now; below 0 after a run that took longer. */
  #savedMs = MAX_SAVED_MS;
  #savedAtMs = performance.now();
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
    this.#save();
    // The process need not live for it.
    if (this.#savedMs < 0) await delay(Math.min(MAX_PAUSE_MS, -this.#savedMs / MAX_SHARE), undefined, { ref: false });
    // Who asks from here on waits for another run.
    this.#next = undefined;
    this.#waiting = 0;
    this.#waitingByConnection = new WeakMap();
    this.#save();
    const result = this.#run();
    this.#current = result.then(
      () => this.#spend(),
      () => this.#spend(),
    );
    return result;
  }

  /** Counts the time since the last run as saved. */
  #save(): void {
    const nowMs = performance.now();
    this.#savedMs = Math.min(MAX_SAVED_MS, this.#savedMs + (nowMs - this.#savedAtMs) * MAX_SHARE);
    this.#savedAtMs = nowMs;
  }

  /** Counts the time since the run began as spent. */
  #spend(): void {
    const nowMs = performance.now();
    this.#savedMs -= nowMs - this.#savedAtMs;
    this.#savedAtMs = nowMs;
  }
}
