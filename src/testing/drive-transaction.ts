import type { ExtProcPeer } from "../simulator/ext-proc-peer.ts";
import { FilteredTransaction } from "../simulator/ext-proc-filter.ts";
import { filterConfig } from "../simulator/filter-config.ts";
import type { FilterSettings } from "../simulator/filter-settings.ts";
import type { HttpExchange } from "../simulator/http-exchange.ts";
import type { Outcome } from "../simulator/outcome.ts";

/** A peer that may answer later, in real time. For one transaction. */
export interface LivePeer extends ExtProcPeer {
  /** It is at work on an answer. */
  readonly busy: boolean;
  /** Calls back once it has said something, or is busy no more. */
  onChange(callback: () => void): void;
}

/** One transaction, and how long to wait for its peer. */
export interface DriveOptions {
  readonly settings: FilterSettings;
  readonly exchange: HttpExchange;
  /** Longest wait, in real milliseconds, before the simulated clock goes on. */
  readonly patienceMs: number;
}

/**
 * Plays a transaction against a peer that takes real time. The simulated clock stands while the peer is at work, so that a
 * slow machine changes nothing; when patience is over, it goes on, and the simulated Envoy stops waiting, or the peer's
 * own time-out ends it.
 */
export async function driveTransaction(peer: LivePeer, options: DriveOptions): Promise<Outcome> {
  const { settings, exchange, patienceMs } = options;
  const transaction = new FilteredTransaction(peer, filterConfig(settings), exchange);
  transaction.start();
  let isPatient = true;
  do {
    transaction.settle();
    while (peer.busy && isPatient) {
      isPatient = await changed(peer, patienceMs);
      transaction.settle();
    }
    // Whoever is done with one thing may be waited for again at the next.
    if (!peer.busy) isPatient = true;
  } while (transaction.advance());
  return transaction.outcome();
}

/** Waits until the peer says something. False where it takes too long. */
async function changed(peer: LivePeer, patienceMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patienceMs);
  });
  const said = new Promise<boolean>((resolve) => peer.onChange(() => resolve(true)));
  const isChanged = await Promise.race([said, tooLong]);
  clearTimeout(timer);
  return isChanged;
}
