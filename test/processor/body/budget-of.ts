import { MemoryShare } from "../../../src/memory/memory-share.ts";
import { BodyBudget } from "../../../src/processor/body/body-budget.ts";

/** A budget that shares no memory with other tests. */
export function budgetOf(maxBytes: number, maxStreamBytes?: number): BodyBudget {
  return new BodyBudget(new MemoryShare("bodies", maxBytes), maxStreamBytes);
}
