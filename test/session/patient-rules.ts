import { definitionsOf, type Processor } from "../../src/processor/definition.ts";
import { type RunRules, runRules } from "../../src/processor/run-rules.ts";

const PATIENCE_MS = 3_600_000;

/** Options of `serve()` with long timeouts, for tests that do not test timeouts. */
export function patience(processor: Processor) {
  const patient = definitionsOf(processor).map(({ name }) => [name, { timeoutMs: PATIENCE_MS }] as const);
  return { envoy: { messageTimeoutMs: PATIENCE_MS }, processors: Object.fromEntries(patient) };
}

/** The rules of sessions for these options. */
export function patientRules(processor: Processor): RunRules {
  const { envoy, processors } = patience(processor);
  return runRules(processor, { envoy, processors });
}
