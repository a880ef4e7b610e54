import type { BodyClaim } from "../../processor/body-claims.ts";
import { needsOf } from "../../processor/body-claims.ts";
import { type Fault, fault } from "../../protocol/fault.ts";

/**
 * Says whose need a body cannot be had for. Where the mode serves another handler of the same body, the two of them cannot
 * share it, and both are named.
 */
export function blamePlan(problem: Fault, claims: readonly BodyClaim[], nameOf: (index: number) => string): Fault {
  const { code, message } = problem;
  const inNeed = claims.filter((claim) => isInNeed(claim, code));
  const [first] = inNeed;
  if (first === undefined) return problem;
  const shown = (claim: BodyClaim) => `"${nameOf(claim.index)}" (${claim.handler.read})`;
  // A body that is not sent at all serves nobody.
  const served = code === "body_required_unseen" ? undefined : claims.find((claim) => !inNeed.includes(claim));
  const text = served
    ? `processors ${shown(served)} and ${shown(first)} cannot share a mode: ${message}`
    : `processor ${inNeed.map(shown).join(", ")}, ${message}`;
  return inNeed.length === 1 ? fault(code, text, { processor: nameOf(first.index) }) : fault(code, text);
}

function isInNeed(claim: BodyClaim, code: Fault["code"]): boolean {
  const needs = needsOf([claim]);
  switch (code) {
    case "body_end_unknowable":
      return needs.whole;
    case "body_required_unseen":
      return needs.required;
    case "handler_unsupported_in_mode":
      return needs.unfitForGrpc;
    default:
      return true;
  }
}
