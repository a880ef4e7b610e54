import type { BodyMode } from "./body-mode.ts";
import type { MutationRules } from "./envoy-declaration.ts";
import { type HeaderFields, hasHeader, joinedText } from "./headers.ts";
import { streamsBody } from "./mode-override.ts";
import { refuseByMutationRules } from "./mutation-rules.ts";
import { checksLength } from "./write-body-answer.ts";

/** What decides about the `content-length` of a body. */
export interface BodyState {
  /** The mode in force; undefined if the peer did not tell. */
  readonly mode: BodyMode | undefined;
  /** The mode in Envoy's configuration, likewise. */
  readonly configured: BodyMode | undefined;
  /** The headers as they are by now. */
  readonly fields: HeaderFields;
}

const LENGTH = { name: "content-length" };
const WAY_OUT =
  "or configure the body mode STREAMED or FULL_DUPLEX_STREAMED, in which Envoy itself removes content-length";

/** Says why Envoy's `mutation_rules`, as declared, refuse changes of `content-length`; undefined if they do not. */
export function protectsLength(rules: MutationRules): string | undefined {
  return refuseByMutationRules(LENGTH, rules);
}

/**
 * Says why a body cannot be replaced by one of so many bytes: where Envoy buffers, it compares the length with a
 * `content-length` that the rules protect, and fails the transaction. Undefined if it can.
 */
export function refuseLength({ mode, fields }: BodyState, bytes: number, rules: MutationRules): string | undefined {
  if (!checksLength(mode)) return undefined;
  const length = joinedText(fields, LENGTH.name);
  const refusal = length === undefined || Number(length) === bytes ? undefined : protectsLength(rules);
  return refusal && `the changed body has another length. ${refusal}; ${WAY_OUT}`;
}

/**
 * Says why `content-length` cannot be removed where Envoy does not remove it itself: it was not configured to stream the
 * body. Undefined if it can be removed, or is not there.
 */
export function refuseLengthRemoval({ configured, fields }: BodyState, rules: MutationRules): string | undefined {
  if (streamsBody(configured) || !hasHeader(fields, LENGTH.name)) return undefined;
  const refusal = protectsLength(rules);
  return refusal && `${refusal}; ${WAY_OUT}`;
}
