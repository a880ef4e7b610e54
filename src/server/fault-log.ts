import type { SessionEnd, SessionObserver } from "../processor/session.ts";
import type { Origin } from "../processor/transaction.ts";
import { LineLimiter } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";
import { describeThrown } from "./thrown.ts";

/**
 * Logs faults, those of the peer as warnings: their code, source and processor, and the place in the code where a
 * handler threw, but nothing that was thrown: its message may quote a header. Beyond ten lines a second they are
 * only counted, and the next line that is written says how many were left out.
 */
export class FaultLog implements SessionObserver {
  readonly #log: Logger;
  readonly #limiter: LineLimiter;

  constructor(log: Logger, limiter = new LineLimiter()) {
    this.#log = log;
    this.#limiter = limiter;
  }

  message(): void {
    // Messages are counted, not logged.
  }

  ended({ fault }: SessionEnd, origin: Origin): void {
    const line = fault && this.#limiter.next();
    if (fault === undefined || line === undefined) return;
    const { code, source, processor } = fault;
    const fields = { fault: code, source, processor, origin, ...line };
    if (source === "envoy") this.#log.warn(fields, fault.message);
    else this.#log.error({ ...fields, ...describeThrown(fault.cause) }, fault.message);
  }
}
