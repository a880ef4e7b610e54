import type { BodyMode } from "../body-mode.ts";
import type { EnvoyDeclaration } from "../envoy-declaration.ts";
import type { MutationRules } from "../envoy-settings.ts";
import { type MessageFraming, outlivesLength } from "../headers/framing-rules.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import { type HeaderFields, hasHeader, joinedText } from "../headers/headers.ts";
import { refuseByMutationRules } from "../headers/mutation-rules.ts";
import { streamsBody } from "../mode-override.ts";
import { checksLength } from "./write-body-answer.ts";

/** The properties of a body that decide about its `content-length`. */
export interface BodyState {
  /** The mode in force; undefined if Envoy did not say. */
  readonly mode: BodyMode | undefined;
  /** The mode in Envoy's configuration; undefined if Envoy did not say. */
  readonly configured: BodyMode | undefined;
  /** The headers with the changes made so far. */
  readonly fields: HeaderFields;
}

const LENGTH = { name: "content-length" };
const KEPT_WAY_OUT =
  "or turn allow_content_length_header of Envoy's filter off, so that Envoy itself removes content-length";
const WAY_OUT =
  "or configure the body mode STREAMED or FULL_DUPLEX_STREAMED, in which Envoy itself removes content-length";

/** Says why Envoy's `mutation_rules`, as declared, refuse changes of `content-length`; undefined if they allow them. */
export function protectsLength(rules: MutationRules): string | undefined {
  return refuseByMutationRules(LENGTH, rules);
}

/**
 * True if the answer to headers must remove `content-length`, and may do so. Envoy removes it itself if it was
 * configured to stream the body. It keeps the header if an override made it stream.
 */
export function dropsLength(
  state: BodyState & { readonly isHeadersOnly: boolean; readonly framing: MessageFraming | undefined },
  changes: readonly HeaderChange[],
  rules: MutationRules,
): boolean {
  const { configured, mode } = state;
  const drops = state.isHeadersOnly
    ? outlivesLength(state, changes)
    : streamsBody(mode) && (configured === undefined || configured === "NONE" || configured === "BUFFERED");
  return drops && protectsLength(rules) === undefined;
}

/**
 * Says why a body cannot be replaced by one with this number of bytes; undefined if it can. In buffered modes Envoy
 * compares the length with a `content-length` that the rules protect, and fails the transaction.
 */
export function refuseLength(
  { mode, fields }: BodyState,
  bytes: number,
  { mutationRules, allowContentLengthHeader }: EnvoyDeclaration,
): string | undefined {
  const isKept = allowContentLengthHeader && mode === "BUFFERED_PARTIAL";
  if (!isKept && !checksLength(mode)) return undefined;
  const length = joinedText(fields, LENGTH.name);
  const refusal = length === undefined || Number(length) === bytes ? undefined : protectsLength(mutationRules);
  return refusal && `the changed body has another length. ${refusal}; ${isKept ? KEPT_WAY_OUT : WAY_OUT}`;
}

/**
 * Says why a streamed body cannot be changed; undefined if it can. Envoy keeps a `content-length` that the rules
 * protect, so a body of another length would be cut, or the receiver would wait for the rest.
 */
export function refuseKeptLength(
  { fields }: BodyState,
  { mutationRules, allowContentLengthHeader }: EnvoyDeclaration,
): string | undefined {
  if (!allowContentLengthHeader || !hasHeader(fields, LENGTH.name)) return undefined;
  const refusal = protectsLength(mutationRules);
  return refusal && `a streamed body may get another length. ${refusal}; ${KEPT_WAY_OUT}`;
}

/**
 * Says why `content-length` cannot be removed if Envoy does not remove it itself, because it was not configured to
 * stream the body. Undefined if it can be removed or is absent.
 */
export function refuseLengthRemoval({ configured, fields }: BodyState, rules: MutationRules): string | undefined {
  if (streamsBody(configured) || !hasHeader(fields, LENGTH.name)) return undefined;
  const refusal = protectsLength(rules);
  return refusal && `${refusal}; ${WAY_OUT}`;
}
