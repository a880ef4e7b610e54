import { setTimeout as delay } from "node:timers/promises";

/** The share of the thread's time that the task can use on average. */
const MAX_SHARE = 1 / 10;
/** How much time the task can save while it is not needed. */
const MAX_SAVED_MS = 100;
/** Longest pause between two runs. */
const MAX_PAUSE_MS = 1_000;

/** How many callers can wait for a {@link SharedTask}. */
export interface SharedTaskLimits {
  /** On all connections. Default 64, the limit of connections of the status listener. */
  readonly maxWaiting?: number | undefined;
  /** On one connection, so that one client cannot block the others. Default 4. */
  readonly maxWaitingOfConnection?: number | undefined;
}

/**
 * A task that costs more than the request for it, such as reading all metrics. All callers that wait share one run,
 * which begins after their calls, so its result is never older than a call. However often it is called, it uses at most
 * a tenth of the thread's time: after 100 ms of consecutive runs there are pauses, of 1 s at most.
 */
export class SharedTask<T> {
  readonly #run: () => Promise<T>;
  readonly #maxWaiting: number;
  readonly #maxWaitingOfConnection: number;
  /** The time that runs can use now; below 0 after a run that took longer. */
  #savedMs = MAX_SAVED_MS;
  #savedAtMs = performance.now();
  #waiting = 0;
  #waitingByConnection = new WeakMap<object, number>();
  /** The next run, for all callers before its start. */
  #next: Promise<T> | undefined;
  /** The current run. */
  #current: Promise<unknown> = Promise.resolve();

  constructor(run: () => Promise<T>, { maxWaiting = 64, maxWaitingOfConnection = 4 }: SharedTaskLimits = {}) {
    this.#run = run;
    this.#maxWaiting = maxWaiting;
    this.#maxWaitingOfConnection = maxWaitingOfConnection;
  }

  /**
   * The result of a run that begins now or later; undefined if too many wait for it.
   *
   * @param connection Identifies the connection of the client.
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
    // The timer must not keep the process alive.
    if (this.#savedMs < 0) await delay(Math.min(MAX_PAUSE_MS, -this.#savedMs / MAX_SHARE), undefined, { ref: false });
    // Later callers wait for another run.
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
