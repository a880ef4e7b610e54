import { FilteredTransaction } from "./ext-proc-filter.ts";
import type { ExtProcServer } from "./filter/ext-proc-server.ts";
import type { HttpExchange } from "./http/http-exchange.ts";
import type { HttpReport } from "./report/report.ts";
import { filterConfig } from "./settings/filter-config.ts";
import type { SimulatedEnvoySettings } from "./settings/simulated-envoy-settings.ts";

/**
 * Runs one HTTP transaction through a simulated Envoy that calls `server`. It runs synchronously: time is virtual, and
 * passes only if nothing else can happen. The same arguments give the same report.
 *
 * @throws SyntaxError if a pattern in the settings is not valid; Envoy rejects such a configuration.
 */
export function simulateWith(
  server: ExtProcServer,
  settings: SimulatedEnvoySettings,
  exchange: HttpExchange,
): HttpReport {
  const transaction = new FilteredTransaction(server, filterConfig(settings), exchange);
  transaction.start();
  do transaction.settle();
  while (transaction.advance());
  return transaction.report();
}
