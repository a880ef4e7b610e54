import type { MutationRules } from "../../protocol/envoy-settings.ts";
import { bytesToText } from "../../wire/header-text.ts";
import type { WarningCode } from "../report/warnings.ts";
import { type NamePredicate, wholeNamePattern } from "./name-pattern.ts";

/** What a mutation does to a header. `append`: the header already exists. */
export type MutationOperation = "set" | "append" | "remove";

/** Why a mutation is refused; undefined if it is allowed. */
export type Refusal = WarningCode | undefined;

/** Repeated here on purpose: the simulator is a witness that does not depend on the rules of the server. */
const ROUTING_HEADERS: ReadonlySet<string> = new Set(["host", ":authority", ":scheme", ":method"]);
const AUTHORITY = /^[\w!$%&'()*+,\-.:;=@[\]~]*$/;
const SCHEME = /^https?$/i;

/**
 * Envoy's checker of header mutations. It has the rules in the order in which Envoy checks them; the first rule that
 * applies decides.
 */
export class MutationRuleChecker {
  /** True if a refusal fails the transaction. */
  readonly refusalIsError: boolean;
  readonly #rules: MutationRules;
  readonly #allowExpression: NamePredicate | undefined;
  readonly #disallowExpression: NamePredicate | undefined;

  constructor(rules: MutationRules = {}) {
    this.#rules = rules;
    this.refusalIsError = rules.disallowIsError ?? false;
    this.#allowExpression = rules.allowExpression === undefined ? undefined : wholeNamePattern(rules.allowExpression);
    this.#disallowExpression =
      rules.disallowExpression === undefined ? undefined : wholeNamePattern(rules.disallowExpression);
  }

  /** Checks a mutation of a header. The name is in lower case. */
  check(operation: MutationOperation, name: string, value: Uint8Array): Refusal {
    return this.#refuseName(operation, name) ?? (operation === "remove" ? undefined : refuseValue(name, value));
  }

  #refuseName(operation: MutationOperation, name: string): Refusal {
    const isSystem = name.startsWith(":");
    if (operation === "remove" && (isSystem || name === "host")) return "remove_refused";
    if (this.#disallowExpression?.(name)) return "disallowed_expression";
    if (this.#allowExpression?.(name)) return undefined;
    if (this.#rules.disallowAll) return "disallowed_all";
    if (!this.#rules.allowAllRouting && ROUTING_HEADERS.has(name)) return "routing_refused";
    if (isSystem && operation === "append") return "pseudo_append_refused";
    if (isSystem && this.#rules.disallowSystem) return "system_refused";
    if (!this.#rules.allowEnvoy && name.startsWith("x-envoy-")) return "envoy_refused";
    return undefined;
  }
}

function refuseValue(name: string, value: Uint8Array): Refusal {
  if (name === ":status" && !isFinalStatus(bytesToText(value))) return "status_invalid";
  if ((name === "host" || name === ":authority") && !AUTHORITY.test(bytesToText(value))) return "authority_invalid";
  if (name === ":scheme" && !SCHEME.test(bytesToText(value))) return "scheme_invalid";
  return undefined;
}

function isFinalStatus(text: string): boolean {
  return /^\s*\+?\d{1,10}\s*$/.test(text) && Number(text) >= 200;
}
