import { FilteredTransaction } from "../simulator/ext-proc-filter.ts";
import type { ExtProcPeer } from "../simulator/filter/ext-proc-peer.ts";
import type { HttpExchange, UpstreamResponse } from "../simulator/http/http-exchange.ts";
import { requestsTunnel } from "../simulator/http/tunnel.ts";
import type { HttpOutcome } from "../simulator/outcome/outcome.ts";
import { filterConfig } from "../simulator/settings/filter-config.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";
import { type SimulatedUpstream, upstreamResponse } from "./simulated-request.ts";
import { upstreamRequest } from "./simulated-transaction.ts";

/** A peer that may answer later, in real time. For one transaction. */
export interface LivePeer extends ExtProcPeer {
  /** It is at work on an answer. */
  readonly busy: boolean;
  /** Calls back once it has said something, or is busy no more. */
  onChange(callback: () => void): void;
}

/** One transaction, and how long to wait for its peer. */
export interface DriveOptions {
  readonly settings: SimulatedEnvoySettings;
  /** Without a response. */
  readonly exchange: HttpExchange;
  readonly upstream: SimulatedUpstream;
  /** Longest wait, in real milliseconds, before the simulated clock goes on. */
  readonly patienceMs: number;
}

/**
 * Plays a transaction against a peer that takes real time. The simulated clock stands while the peer is at work, so that a
 * slow machine changes nothing; when patience is over, it goes on, and the simulated Envoy stops waiting, or the peer's
 * own time-out ends it.
 */
export async function driveTransaction(peer: LivePeer, options: DriveOptions): Promise<HttpOutcome> {
  const { settings, patienceMs } = options;
  const transaction: FilteredTransaction = new FilteredTransaction(
    peer,
    filterConfig(settings),
    withUpstream(options, () => transaction.outcome()),
  );
  transaction.start();
  let isPatient = true;
  do {
    transaction.settle();
    while (peer.busy && isPatient) {
      isPatient = await waitFor(new Promise<void>((resolve) => peer.onChange(resolve)), patienceMs);
      transaction.settle();
    }
    // Whoever is done with one thing may be waited for again at the next.
    if (!peer.busy) isPatient = true;
  } while (transaction.advance());
  return transaction.outcome();
}

/** The exchange with its response, which a function makes once the upstream has the whole request. */
function withUpstream({ exchange, upstream }: DriveOptions, soFar: () => HttpOutcome): HttpExchange {
  const { request: sent = {} } = exchange;
  if (typeof upstream !== "function") return { ...exchange, response: upstreamResponse(upstream, sent) };
  let response: UpstreamResponse | undefined;
  return {
    ...exchange,
    get response() {
      if (response !== undefined) return response;
      const request = soFar().upstream;
      if (request === undefined || (request.end !== "complete" && !requestsTunnel(sent))) return {};
      response = { ...upstreamResponse(upstream(upstreamRequest(request)), sent), startsAfter: "request_end" };
      return response;
    },
  };
}

// A test may put timers of its own in place of the global ones, which then would never go off.
const { setTimeout, clearTimeout } = globalThis;

/** Waits for a promise for so many milliseconds of real time. False where it takes longer. */
export async function waitFor(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const inTime = await Promise.race([promise.then(() => true), tooLong]);
  clearTimeout(timer);
  return inTime;
}
