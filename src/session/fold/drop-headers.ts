import { type Fault, fault } from "../../protocol/fault.ts";
import { refuseByMutationRules } from "../../protocol/headers/mutation-rules.ts";
import type { PhaseWork } from "./phase-work.ts";

/**
 * Removes headers that are there, and that no handler has set in this answer. Those that Envoy's `mutation_rules`, as
 * declared, protect stay.
 *
 * @returns A fault for the first that stays. A caller whose message is wrong with that header has to return it.
 */
export function dropHeaders(work: PhaseWork, names: readonly string[]): Fault | undefined {
  let kept: Fault | undefined;
  for (const name of names) {
    if (work.headerChanges.some((change) => change.name === name)) continue;
    if (!work.head.has(name)) continue;
    const refusal = refuseByMutationRules({ name }, work.exchange.declaration.mutationRules);
    if (refusal === undefined) work.change({ op: "remove", name });
    else kept ??= fault("mutation_not_allowed", `the changed body needs another ${name}: ${refusal}`);
  }
  return kept;
}
