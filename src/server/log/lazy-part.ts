import { LineLimiter } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";
import { describeThrown } from "./thrown.ts";

/** Parts of the server that are loaded after it listens, or at their first use. */
export const LAZY_PARTS = ["connect", "connect_http1", "metrics"] as const;

/** One of {@link LAZY_PARTS}. */
export type LazyPartName = (typeof LAZY_PARTS)[number];

/** Thrown if a part could not be loaded this time. The message names no file. */
export class PartNotLoaded extends Error {
  constructor(part: LazyPartName) {
    super(`the part ${part} of the server could not be loaded`);
    this.name = "PartNotLoaded";
  }
}

/** Counts and logs parts that could not be loaded. */
export class LoadFailures {
  /** How often each part could not be loaded. */
  readonly counts: Readonly<Record<LazyPartName, number>> = { connect: 0, connect_http1: 0, metrics: 0 };
  readonly #log: Logger;
  readonly #limiter = new LineLimiter();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Counts and logs a failure. The error names a file, so only its code is logged. */
  add(part: LazyPartName, cause: unknown): void {
    (this.counts as Record<LazyPartName, number>)[part]++;
    const line = this.#limiter.next();
    if (line === undefined) return;
    const { code } = Object(cause) as { readonly code?: unknown };
    const fields = { part, ...describeThrown(cause), ...(typeof code === "string" && { code }), ...line };
    this.#log.error(fields, "A part of the server could not be loaded; the next use tries again");
  }
}

/**
 * A part of the server that is loaded at its first use. A load that fails is forgotten, and the next use tries again:
 * the reason may be temporary, such as too few file descriptors or files that are being replaced.
 *
 * Node 20 itself remembers some failures: a file that was found and could not be read is not read again.
 */
export class LazyPart<T> {
  readonly #name: LazyPartName;
  readonly #load: () => Promise<T>;
  readonly #failures: LoadFailures;
  #loading: Promise<T> | undefined;
  #loaded: { readonly value: T } | undefined;

  constructor(name: LazyPartName, load: () => Promise<T>, failures: LoadFailures) {
    this.#name = name;
    this.#load = load;
    this.#failures = failures;
  }

  /** The part, if it is loaded. */
  get loaded(): T | undefined {
    return this.#loaded?.value;
  }

  /**
   * Loads the part. Calls during a load share that load.
   *
   * @throws {PartNotLoaded} If it cannot be loaded.
   */
  load(): Promise<T> {
    this.#loading ??= this.#attempt();
    return this.#loading;
  }

  /** Waits until a running load has ended or failed. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#loading]);
  }

  async #attempt(): Promise<T> {
    try {
      const value = await this.#load();
      this.#loaded = { value };
      return value;
    } catch (cause) {
      this.#loading = undefined;
      this.#failures.add(this.#name, cause);
      throw new PartNotLoaded(this.#name);
    }
  }
}
