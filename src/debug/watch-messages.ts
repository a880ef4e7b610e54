import type { Warning } from "../../gen/extproc/debug/v1/simulate_pb.js";
import { watchEffects } from "../simulation/unreturned-effects.ts";
import { writeWarning } from "./write-transaction.ts";

/**
 * Runs a transaction whose messages were written by hand, and watches for effects that its handlers made and did not
 * return.
 *
 * @returns What `run` resolves to, and a warning for each such effect.
 */
export async function watchMessages<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly warnings: Warning[] }> {
  const { result, warnings } = await watchEffects(run);
  return { result, warnings: warnings.map(writeWarning) };
}
