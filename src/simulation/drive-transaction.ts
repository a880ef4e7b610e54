import { FilteredTransaction } from "../simulator/ext-proc-filter.ts";
import type { ExtProcServer } from "../simulator/filter/ext-proc-server.ts";
import type { HttpExchange, UpstreamResponse } from "../simulator/http/http-exchange.ts";
import { requestsTunnel } from "../simulator/http/tunnel.ts";
import type { HttpReport } from "../simulator/report/report.ts";
import { filterConfig } from "../simulator/settings/filter-config.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";
import { type SimulatedUpstream, upstreamResponse } from "./simulated-request.ts";
import { upstreamRequest } from "./simulated-transaction.ts";

/** An ext_proc server for one transaction. It can answer later, in real time. */
export interface LiveServer extends ExtProcServer {
  /** True while the server works on an answer. */
  readonly busy: boolean;
  /** Calls back when the server has sent something or has finished its work. */
  onChange(callback: () => void): void;
}

/** One transaction, and the longest time to wait for its server. */
export interface DriveOptions {
  readonly settings: SimulatedEnvoySettings;
  /** The exchange, without a response. */
  readonly exchange: HttpExchange;
  readonly upstream: SimulatedUpstream;
  /** The longest wait, in real milliseconds, before the simulated clock continues. */
  readonly patienceMs: number;
}

/**
 * Runs a transaction against a server that takes real time. The simulated clock stops while the server works, so a slow
 * machine changes nothing. After `patienceMs` the clock continues. Then the simulated Envoy stops waiting, or the
 * server's own timeout ends the wait.
 */
export async function driveTransaction(server: LiveServer, options: DriveOptions): Promise<HttpReport> {
  const { settings, patienceMs } = options;
  const transaction: FilteredTransaction = new FilteredTransaction(
    server,
    filterConfig(settings),
    withUpstream(options, () => transaction.report()),
  );
  transaction.start();
  let isPatient = true;
  do {
    transaction.settle();
    while (server.busy && isPatient) {
      isPatient = await waitFor(new Promise<void>((resolve) => server.onChange(resolve)), patienceMs);
      transaction.settle();
    }
    // A server that has finished one answer gets the full patience again for the next one.
    if (!server.busy) isPatient = true;
  } while (transaction.advance());
  return transaction.report();
}

/**
 * Returns the exchange with its response. If a function makes the response, it is called when the upstream has got the
 * whole request.
 */
function withUpstream({ exchange, upstream }: DriveOptions, soFar: () => HttpReport): HttpExchange {
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

// A test can replace the global timers by fake ones, which would never fire.
const { setTimeout, clearTimeout } = globalThis;

/** Waits for a promise for this many milliseconds of real time. Returns false if it takes longer. */
export async function waitFor(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const inTime = await Promise.race([promise.then(() => true), tooLong]);
  clearTimeout(timer);
  return inTime;
}
