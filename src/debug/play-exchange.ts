import type { SimulateResponse } from "../../gen/extproc/debug/v1/simulate_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type RunOptions, runRules } from "../processor/run-rules.ts";
import { ProcessorLife } from "../simulation/processor-life.ts";
import { failureText } from "../text/failure-text.ts";
import { parseExchange } from "./parse-exchange.ts";
import { simulateExchange } from "./simulate-exchange.ts";

/** Longest wait for `setup` of processors, in milliseconds. */
const SETUP_MS = 30_000;

/**
 * Plays one exchange, in the JSON of `DebugService.Simulate`, with the processor's `setup` before and its `close` behind.
 *
 * @throws {ExchangeProblem} Rejects with it where there is no such exchange.
 */
export async function playExchange(processor: Processor, json: unknown, run: RunOptions): Promise<SimulateResponse> {
  const exchange = parseExchange(json);
  const life = new ProcessorLife(runRules(processor, run), SETUP_MS);
  await life.begin();
  try {
    const response = await simulateExchange(processor, exchange, { run, setup: life.setup, allowPatterns: true });
    explainSetup(response, failureText(life.setup.unready?.cause));
    return response;
  } finally {
    await life.setup.close();
  }
}

/** Says why `setup` failed. A server does not tell this to a client: the message may name hosts behind the server. */
function explainSetup({ faults }: SimulateResponse, reason: string): void {
  if (reason === "") return;
  for (const fault of faults) if (fault.code === "not_ready") fault.message += `: ${reason}`;
}
