import { SESSION_RESULTS, type SessionEnd, type SessionObserver, type SessionResult } from "../processor/session.ts";
import type { Origin } from "../processor/transaction.ts";
import { FAULT_CODES, type FaultCode } from "../protocol/fault.ts";
import { PHASES, type Phase } from "../protocol/phase.ts";

/** What is counted for one origin: plain integers, since they change with every message. */
export interface OriginCounts {
  readonly messages: Record<Phase, number>;
  readonly streams: Record<SessionResult, number>;
  readonly faults: Record<FaultCode, number>;
}

/** Everyone who may open a transaction; debug calls must not be mistaken for traffic. */
export const ORIGINS: readonly Origin[] = ["envoy", "debug"];

/** Counts transactions. */
export class StreamCounters implements SessionObserver {
  readonly #counts: Readonly<Record<Origin, OriginCounts>> = {
    envoy: zeros(),
    debug: zeros(),
    simulation: zeros(),
    http_service: zeros(),
  };

  message(phase: Phase, origin: Origin): void {
    this.#counts[origin].messages[phase]++;
  }

  ended({ result, fault }: SessionEnd, origin: Origin): void {
    this.#counts[origin].streams[result]++;
    if (fault) this.#counts[origin].faults[fault.code]++;
  }

  /** The counts of an origin as they stand. */
  of(origin: Origin): OriginCounts {
    return this.#counts[origin];
  }
}

function zeros(): OriginCounts {
  return { messages: zeroFor(PHASES), streams: zeroFor(SESSION_RESULTS), faults: zeroFor(FAULT_CODES) };
}

function zeroFor<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
