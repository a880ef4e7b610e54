import type { SimulateRequest, SimulateResponse } from "../../gen/extproc/debug/v1/simulate_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type OperatorOptions, runRules } from "../processor/run-rules.ts";
import { driveTransaction } from "../simulation/drive-transaction.ts";
import { ProcessorServer, type ProcessorServerOptions } from "../simulation/processor-server.ts";
import { simulatedEnvoy } from "../simulation/simulated-envoy.ts";
import { simulatedTransaction } from "../simulation/simulated-transaction.ts";
import { watchEffects } from "../simulation/unreturned-effects.ts";
import { settingsOnRoute } from "../simulator/settings/simulated-envoy-settings.ts";
import type { Problem } from "../text/problem.ts";
import { readExchange } from "./read-exchange.ts";
import { timedProcessor } from "./timed-processor.ts";
import { writeTransaction } from "./write-transaction.ts";

/** Options of {@link simulateExchange}. Processors run as in the server or the command that runs the exchange. */
export interface SimulateExchangeOptions extends Omit<ProcessorServerOptions, "rules"> {
  /** The operator's settings. The simulated Envoy has the declared settings, unless the exchange has others. */
  readonly operator?: OperatorOptions | undefined;
  /** True: regular expressions are allowed, although a bad expression can block a process forever. Default: false. */
  readonly allowPatterns?: boolean | undefined;
}

/**
 * Runs an HTTP exchange through a simulated Envoy and a processor. The exchange's settings of Envoy count as declared,
 * as in `ext-proc/testing`. The result is a problem if the exchange is not valid.
 */
export async function simulateExchange(
  processor: Processor,
  exchange: SimulateRequest,
  options: SimulateExchangeOptions,
): Promise<SimulateResponse | Problem> {
  const { operator = {}, allowPatterns = false, ...serverOptions } = options;
  const { overriddenBodyTimeoutMs: _, ...defaults } = operator.envoy ?? {};
  const read = readExchange(exchange, { defaults, allowPatterns });
  if ("problem" in read) return read;
  const timed = timedProcessor(processor);
  const rules = runRules(timed.processor, { ...operator, envoy: settingsOnRoute(read.options.envoy) });
  const envoy = simulatedEnvoy(read.options, {
    async drive(transaction) {
      const server = new ProcessorServer(timed.processor, { ...serverOptions, rules });
      const { result, warnings } = await watchEffects(() => driveTransaction(server, transaction));
      return simulatedTransaction(result, server, warnings);
    },
    close: async () => undefined,
  });
  return writeTransaction(await envoy.send(read.request), timed.times());
}
