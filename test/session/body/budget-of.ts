import { BodyBudget } from "../../../src/memory/body-budget.ts";
import { MemoryShare } from "../../../src/memory/memory-share.ts";

/** A budget that shares no memory with other tests. */
export function budgetOf(maxBytes: number, maxStreamBytes?: number): BodyBudget {
  return new BodyBudget(new MemoryShare("bodies", maxBytes), maxStreamBytes);
}
