/** Something that will happen later, unless it is cancelled. */
export interface Timer {
  cancel(): void;
}

interface Due {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/**
 * A clock that moves only when a caller moves it, with a queue of what happens at which time. Things that are due at
 * the same time happen in the order in which they were added, so a run can be repeated exactly.
 */
export class VirtualClock {
  #nowMs = 0;
  #sequence = 0;
  #ready: (() => void)[] = [];
  /** Sorted by time, then by sequence. The next timer is the last one. */
  readonly #timers: Due[] = [];

  /** Milliseconds since the clock was created. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs a task next, after all tasks that were added before: it stands for a hop over a network. */
  soon(callback: () => void): void {
    this.#ready.push(callback);
  }

  /** Calls back after this many milliseconds. */
  after(delayMs: number, callback: () => void): Timer {
    const due: Due = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      callback,
      cancelled: false,
    };
    let index = this.#timers.length;
    while (index > 0 && isLater(due, this.#timers[index - 1])) index--;
    this.#timers.splice(index, 0, due);
    return {
      cancel: () => {
        due.cancelled = true;
      },
    };
  }

  /** The time at which the next timer is due; undefined if there is none. */
  get nextTimerMs(): number | undefined {
    this.#dropCancelled();
    return this.#timers.at(-1)?.atMs;
  }

  /** Does everything for which no time must pass. Returns false if there was nothing to do. */
  runReady(): boolean {
    if (this.#ready.length === 0) return false;
    while (this.#ready.length > 0) {
      const batch = this.#ready;
      this.#ready = [];
      for (const callback of batch) callback();
    }
    return true;
  }

  /** Moves to the next timer, and calls it. Returns false if there is none. */
  advance(): boolean {
    this.#dropCancelled();
    const due = this.#timers.pop();
    if (due === undefined) return false;
    this.#nowMs = due.atMs;
    due.callback();
    return true;
  }

  #dropCancelled(): void {
    while (this.#timers.at(-1)?.cancelled) this.#timers.pop();
  }
}

function isLater(due: Due, other: Due | undefined): boolean {
  return other !== undefined && (due.atMs > other.atMs || (due.atMs === other.atMs && due.sequence > other.sequence));
}
