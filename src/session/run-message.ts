import { namesOfHandlers, type RunRules } from "../processor/run-rules.ts";
import type { PhaseMessage } from "../protocol/phase.ts";
import { runningFailed } from "./awaited-answer.ts";
import type { BodyRunner, RunResult } from "./body/body-runner.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { ThreadWatch } from "./thread-watch.ts";

/**
 * Runs the handlers of a message, and times them while `watch` wants that. A runner neither throws nor rejects; were it to
 * happen, it must not end the process.
 */
export function runMessage(
  runner: BodyRunner | HandlerChain,
  message: PhaseMessage,
  rules: RunRules,
  watch: ThreadWatch | undefined,
): RunResult | Promise<RunResult> {
  try {
    if (watch === undefined || !watch.isTiming) return runner.run(message);
    const place = { processor: namesOfHandlers(rules, message.case), phase: message.case };
    return watch.time(() => runner.run(message), place);
  } catch (cause) {
    return runningFailed(cause);
  }
}
