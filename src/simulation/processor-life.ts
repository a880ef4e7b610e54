import type { RunRules } from "../processor/run-rules.ts";
import type { Timers } from "../session/answer-timeout.ts";
import { ProcessorSetup } from "../session/setup.ts";
import { waitFor } from "./drive-transaction.ts";

/**
 * Runs `setup` and `close` of a processor in a simulation. A `setup` that failed is tried again at the next request,
 * and not after a delay.
 */
export class ProcessorLife {
  readonly setup: ProcessorSetup;
  readonly #patienceMs: number;
  readonly #retries = new Set<() => void>();
  #hasBegun = false;
  #beginning: Promise<void> | undefined;
  #settled: () => void = () => undefined;

  constructor(rules: RunRules, patienceMs: number) {
    this.#patienceMs = patienceMs;
    const observer = { ready: () => undefined, failed: () => this.#settled(), closeFailed: () => undefined };
    this.setup = new ProcessorSetup(rules, observer, this.#timers);
  }

  /** Runs every `setup` that is not done, and waits for it. Never rejects: see `unready` of {@link setup}. */
  async begin(): Promise<void> {
    if (this.#hasBegun && this.setup.unready === undefined) return;
    this.#beginning ??= this.#begin().finally(() => {
      this.#beginning = undefined;
    });
    await this.#beginning;
  }

  async #begin(): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
    if (this.#hasBegun) this.#retry();
    else {
      this.#hasBegun = true;
      this.setup.start(() => this.#settled());
    }
    if (this.setup.unready !== undefined) await waitFor(settled, this.#patienceMs);
  }

  #retry(): void {
    const retries = [...this.#retries];
    this.#retries.clear();
    for (const retry of retries) retry();
  }

  get #timers(): Timers {
    return {
      now: () => 0,
      set: (callback) => {
        this.#retries.add(callback);
        return callback;
      },
      clear: (callback) => this.#retries.delete(callback as () => void),
    };
  }
}
