import type { SimulateResponse } from "../../gen/extproc/debug/v1/simulate_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type OperatorOptions, runRules } from "../processor/run-rules.ts";
import { ProcessorLife } from "../simulation/processor-life.ts";
import { failureText } from "../text/failure-text.ts";
import type { Problem } from "../text/problem.ts";
import { parseExchange } from "./parse-exchange.ts";
import { simulateExchange } from "./simulate-exchange.ts";

/** Timeout for `setup` of processors, in milliseconds. */
const SETUP_MS = 30_000;

/**
 * Runs one exchange, in the JSON format of `DebugService.Simulate`. Calls the processor's `setup` before it and `close`
 * after it. The result is a problem if the JSON is not an exchange.
 */
export async function simulateJson(
  processor: Processor,
  json: unknown,
  operator: OperatorOptions,
): Promise<SimulateResponse | Problem> {
  const exchange = parseExchange(json);
  if ("problem" in exchange) return exchange;
  const life = new ProcessorLife(runRules(processor, operator), SETUP_MS);
  await life.begin();
  try {
    const response = await simulateExchange(processor, exchange, { operator, setup: life.setup, allowPatterns: true });
    if (!("problem" in response)) explainSetup(response, failureText(life.setup.unready?.cause));
    return response;
  } finally {
    await life.setup.close();
  }
}

/** Adds why `setup` failed. A server does not send this to a client, because the message can name internal hosts. */
function explainSetup({ faults }: SimulateResponse, reason: string): void {
  if (reason === "") return;
  for (const fault of faults) if (fault.code === "not_ready") fault.message += `: ${reason}`;
}
