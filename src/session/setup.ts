import type { FaultPolicy } from "../processor/definition.ts";
import { type RunRule, type RunRules, stricterPolicy } from "../processor/run-rules.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import { isThenable } from "../text/value-kind.ts";
import { REAL_TIMERS, type Timers } from "./answer-timeout.ts";

/** Receives the results of `setup` and `close` of processors. Its methods must not throw. */
export interface SetupObserver {
  /** A `setup` is done. */
  ready(processor: string): void;
  /** A `setup` failed. It is tried again after `retryMs`. */
  failed(processor: string, cause: unknown, retryMs: number): void;
  /** A `close` failed. Without a cause: it took too long. */
  closeFailed(processor: string, cause: unknown): void;
}

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** The longest time that `close` of all processors together may take. A server that stops waits for it. */
export const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Runs the hooks of processors in a server: `setup` before the first transaction, again until it succeeds, and `close`
 * after the last transaction.
 */
export class ProcessorSetup {
  readonly #rules: readonly RunRule[];
  readonly #observer: SetupObserver | undefined;
  readonly #timers: Timers;
  readonly #abort = new AbortController();
  /** Every `setup` that is not done, with the reason of its last failure. */
  readonly #pending: Map<RunRule, unknown>;
  readonly #retries = new Set<unknown>();
  #unready: Fault | undefined;
  #whenReady: () => void = () => undefined;
  #isClosed = false;

  constructor({ rules }: RunRules, observer?: SetupObserver, timers: Timers = REAL_TIMERS) {
    this.#rules = rules;
    this.#observer = observer;
    this.#timers = timers;
    const pending = rules.filter(({ definition }) => definition.setup !== undefined);
    this.#pending = new Map(pending.map((rule) => [rule, undefined]));
    this.#updateUnready();
  }

  /** The fault for messages that arrive now; undefined when every `setup` is done. */
  get unready(): Fault | undefined {
    return this.#unready;
  }

  /**
   * Runs every `setup` at the same time, and calls back when the last one is done. Without a `setup` it calls back at
   * once.
   */
  start(whenReady: () => void = () => undefined): void {
    this.#whenReady = whenReady;
    for (const rule of [...this.#pending.keys()]) this.#run(rule, FIRST_RETRY_MS);
    if (this.#rules.every(({ definition }) => definition.setup === undefined)) whenReady();
  }

  /** The server shuts down: aborts the signal of a running `setup`, and does not try again. */
  abort(): void {
    this.#abort.abort();
    for (const timer of this.#retries) this.#timers.clear(timer);
    this.#retries.clear();
  }

  /** Calls every `close` at the same time, and waits at most 5 s for them. Only the first call has an effect. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.abort();
    const closing = this.#rules.filter(({ definition }) => definition.close !== undefined);
    if (closing.length === 0) return;
    const left = new Set(closing);
    const closed = Promise.all(closing.map((rule) => this.#close(rule).finally(() => left.delete(rule))));
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = this.#timers.set(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([closed, late]);
    this.#timers.clear(timer);
    for (const { definition } of left) this.#observer?.closeFailed(definition.name, undefined);
  }

  #run(rule: RunRule, retryMs: number): void {
    const { definition } = rule;
    const failed = (cause: unknown) => this.#failed(rule, cause, retryMs);
    try {
      const settingUp: unknown = definition.setup?.(this.#abort.signal);
      // A library's own promise type is awaited too. Otherwise the server would accept requests before the setup is
      // done.
      if (isThenable(settingUp)) Promise.resolve(settingUp).then(() => this.#done(rule), failed);
      else this.#done(rule);
    } catch (cause) {
      failed(cause);
    }
  }

  #done(rule: RunRule): void {
    if (this.#abort.signal.aborted) return;
    this.#pending.delete(rule);
    this.#updateUnready();
    this.#observer?.ready(rule.definition.name);
    if (this.#pending.size === 0) this.#whenReady();
  }

  #failed(rule: RunRule, cause: unknown, retryMs: number): void {
    // A setup that ends because its signal was aborted has not failed.
    if (this.#abort.signal.aborted) return;
    this.#pending.set(rule, cause);
    this.#updateUnready();
    this.#observer?.failed(rule.definition.name, cause, retryMs);
    const timer = this.#timers.set(() => {
      this.#retries.delete(timer);
      this.#run(rule, Math.min(retryMs * 2, LAST_RETRY_MS));
    }, retryMs);
    this.#retries.add(timer);
  }

  async #close({ definition }: RunRule): Promise<void> {
    try {
      await definition.close?.();
    } catch (cause) {
      this.#observer?.closeFailed(definition.name, cause);
    }
  }

  /** If several processors are not ready, the strictest policy applies. */
  #updateUnready(): void {
    let blamed: RunRule | undefined;
    let policy: FaultPolicy = "open";
    for (const rule of this.#pending.keys()) {
      const stricter = stricterPolicy(policy, rule.onFault);
      if (blamed === undefined || stricter !== policy) blamed = rule;
      policy = stricter;
    }
    this.#unready = blamed && notReady(blamed.definition.name, this.#pending.get(blamed));
  }
}

function notReady(processor: string, cause: unknown): Fault {
  const details = cause === undefined ? { processor } : { processor, cause };
  return fault("not_ready", `processor "${processor}": its setup is not done`, details);
}
