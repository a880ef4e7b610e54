import type { Warning } from "../../gen/extproc/debug/v1/simulate_pb.js";
import { watchEffects } from "../simulation/unreturned-effects.ts";
import { writeWarning } from "./write-transaction.ts";

/**
 * Runs a transaction with given messages, and detects effects that its handlers made and did not return.
 *
 * @returns The result of `run`, and a warning for each such effect.
 */
export async function watchMessages<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly warnings: Warning[] }> {
  const { result, warnings } = await watchEffects(run);
  return { result, warnings: warnings.map(writeWarning) };
}
