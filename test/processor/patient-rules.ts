import { definitionsOf, type Processor } from "../../src/processor/definition.ts";
import { type RunRules, runRules } from "../../src/processor/run-rules.ts";

const PATIENCE_MS = 3_600_000;

/** Rules under which no handler of a test is too slow, for tests that are about something else. */
export function patientRules(processor: Processor): RunRules {
  const patient = definitionsOf(processor).map(({ name }) => [name, { timeoutMs: PATIENCE_MS }] as const);
  return runRules(processor, {
    declaration: { messageTimeoutMs: PATIENCE_MS },
    processors: Object.fromEntries(patient),
  });
}
