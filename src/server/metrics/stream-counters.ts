import { zeroFor } from "../../http2/totals.ts";
import type { Origin } from "../../processor/transaction.ts";
import type { Fault } from "../../protocol/fault.ts";
import { FAULT_CODES, type FaultCode } from "../../protocol/faults.ts";
import { PHASES, type Phase } from "../../protocol/phase.ts";
import type { FaultOutcome } from "../../session/fault-outcome.ts";
import {
  SESSION_RESULTS,
  type SessionEnd,
  type SessionObserver,
  type SessionResult,
  UNENFORCED_REASONS,
  type UnenforcedReason,
} from "../../session/session-observer.ts";
import type { SetupObserver } from "../../session/setup.ts";

/** The counts of one origin. They are plain integers, because they change with every message. */
export interface OriginCounts {
  readonly messages: Record<Phase, number>;
  readonly streams: Record<SessionResult, number>;
  readonly faults: Record<FaultCode, number>;
  readonly unenforced: Record<UnenforcedReason, number>;
}

/** Faults of one kind, one processor and one outcome. */
export interface FaultCount {
  readonly code: FaultCode;
  readonly source: string;
  /** Empty if no processor is to blame. */
  readonly processor: string;
  readonly outcome: FaultOutcome;
  readonly origin: Origin;
  count: number;
}

/** The functions of a processor's life cycle whose failures are counted. */
export type HookName = "setup" | "done" | "close";

/** All origins of transactions. Debug calls are counted separately from traffic. */
export const ORIGINS: readonly Origin[] = ["envoy", "http_service", "debug"];

/** Counts transactions, messages, faults and failures of processors' life cycles. */
export class StreamCounters implements SessionObserver, SetupObserver {
  readonly #counts: Readonly<Record<Origin, OriginCounts>> = {
    envoy: zeros(),
    debug: zeros(),
    simulation: zeros(),
    http_service: zeros(),
  };
  /** How often the thread was blocked for too long. */
  threadBlocks = 0;
  readonly #faults = new Map<string, FaultCount>();
  readonly #hooks = new Map<string, number>();

  message(phase: Phase, origin: Origin): void {
    const { messages } = this.of(origin);
    // By name: with many names for one place in the code engines look each up in a table.
    switch (phase) {
      case "requestHeaders":
        messages.requestHeaders++;
        break;
      case "responseHeaders":
        messages.responseHeaders++;
        break;
      default:
        messages[phase]++;
    }
  }

  ended({ result }: SessionEnd, origin: Origin): void {
    const { streams } = this.of(origin);
    if (result === "completed") streams.completed++;
    else streams[result]++;
  }

  fault({ code, source, processor = "" }: Fault, outcome: FaultOutcome, origin: Origin): void {
    this.#counts[origin].faults[code]++;
    const key = `${code} ${processor} ${outcome} ${origin}`;
    const known = this.#faults.get(key);
    if (known) known.count++;
    else this.#faults.set(key, { code, source, processor, outcome, origin, count: 1 });
  }

  unenforced(reason: UnenforcedReason, _wanted: string, origin: Origin): void {
    this.#counts[origin].unenforced[reason]++;
  }

  threadBlocked(): void {
    this.threadBlocks++;
  }

  doneFailed(processor: string): void {
    this.#hookFailed("done", processor);
  }

  ready(): void {
    // /readyz shows it.
  }

  failed(processor: string): void {
    this.#hookFailed("setup", processor);
  }

  closeFailed(processor: string): void {
    this.#hookFailed("close", processor);
  }

  /** The current counts of an origin. */
  of(origin: Origin): OriginCounts {
    return origin === "envoy" ? this.#counts.envoy : this.#counts[origin];
  }

  /** All faults so far, by kind and outcome. */
  faults(): Iterable<FaultCount> {
    return this.#faults.values();
  }

  /** All failures of processors' life cycles so far. */
  *hookFailures(): Iterable<{ readonly hook: string; readonly processor: string; readonly count: number }> {
    for (const [key, count] of this.#hooks) {
      const [hook = "", processor = ""] = key.split(" ");
      yield { hook, processor, count };
    }
  }

  #hookFailed(hook: HookName, processor: string): void {
    const key = `${hook} ${processor}`;
    this.#hooks.set(key, (this.#hooks.get(key) ?? 0) + 1);
  }
}

function zeros(): OriginCounts {
  return {
    messages: zeroFor(PHASES),
    streams: zeroFor(SESSION_RESULTS),
    faults: zeroFor(FAULT_CODES),
    unenforced: zeroFor(UNENFORCED_REASONS),
  };
}
