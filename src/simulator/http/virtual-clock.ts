/** Something that happens later, unless it is cancelled. */
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
 * A clock that moves only when a caller moves it, and a queue of what happens at which time. What is due at the same time
 * happens in the order in which it was asked for, so a run can be repeated exactly.
 */
export class VirtualClock {
  #nowMs = 0;
  #sequence = 0;
  #ready: (() => void)[] = [];
  /** Sorted by time, then by sequence; the next one is the last. */
  readonly #timers: Due[] = [];

  /** Milliseconds since the clock was made. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs a task next, after all tasks that were added before: it stands for a hop over a network. */
  soon(callback: () => void): void {
    this.#ready.push(callback);
  }

  /** Does it in so many milliseconds. */
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

  /** When the next timer is due; undefined if there is none. */
  get nextTimerMs(): number | undefined {
    this.#dropCancelled();
    return this.#timers.at(-1)?.atMs;
  }

  /** Does everything that needs no time to pass. False if there was nothing to do. */
  runReady(): boolean {
    if (this.#ready.length === 0) return false;
    while (this.#ready.length > 0) {
      const batch = this.#ready;
      this.#ready = [];
      for (const callback of batch) callback();
    }
    return true;
  }

  /** Moves to the next timer, and does what it is for. False if there is none. */
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
