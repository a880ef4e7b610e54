import { type NameExpression, nameExpression, refuseNameExpression } from "../text/name-expression.ts";
import type { DeclaredEnvoySettings, MutationRules } from "./envoy-settings.ts";

/** What the server assumes about Envoy: the operator's declaration, with Envoy's defaults for all other fields. */
export type EnvoyDeclaration = {
  readonly [K in keyof DeclaredEnvoySettings]-?:
    | NonNullable<DeclaredEnvoySettings[K]>
    // Undefined: the limit is not known.
    | (K extends "bufferLimitBytes" ? undefined : never);
};

/**
 * Envoy's default of `per_connection_buffer_limit_bytes`. Recommendations and the simulator use it. No override relies
 * on it.
 */
export const ENVOY_BUFFER_LIMIT_BYTES: number = 1024 * 1024;

/** What the server assumes if the operator declares nothing: Envoy's own defaults. */
export const ENVOY_DEFAULTS: EnvoyDeclaration = {
  processingMode: {},
  messageTimeoutMs: 200,
  maxMessageTimeoutMs: 0,
  allowModeOverride: false,
  allowedOverrideModes: [],
  bufferLimitBytes: undefined,
  overriddenBodyTimeoutMs: 30_000,
  failureModeAllow: false,
  disableImmediateResponse: false,
  allowContentLengthHeader: false,
  mutationRules: {},
};

/**
 * Completes a declaration with Envoy's defaults. It checks only the expressions; the code that reads a file or flags
 * checks the other values.
 *
 * @throws {TypeError} Names an expression that RE2 would not accept.
 */
export function declareEnvoy(declared: DeclaredEnvoySettings): EnvoyDeclaration {
  const { mutationRules = {} } = declared;
  for (const field of ["allowExpression", "disallowExpression"] as const) {
    const problem = mutationRules[field] === undefined ? undefined : refuseNameExpression(mutationRules[field]);
    if (problem !== undefined) throw new TypeError(`envoy.mutationRules.${field}: ${problem}`);
  }
  const fields = Object.keys(ENVOY_DEFAULTS) as readonly (keyof EnvoyDeclaration)[];
  const filled = fields.map((field) => [field, declared[field] ?? ENVOY_DEFAULTS[field]] as const);
  return Object.fromEntries([
    ...filled,
    ["mutationRules", compiledRules(mutationRules)],
  ]) as unknown as EnvoyDeclaration;
}

/** The expressions of mutation rules. */
interface Expressions {
  readonly allow: NameExpression | undefined;
  readonly disallow: NameExpression | undefined;
}

const NO_EXPRESSIONS: Expressions = { allow: undefined, disallow: undefined };
const EXPRESSIONS: unique symbol = Symbol("compiled expressions");

/** A copy of the rules that keeps its expressions compiled. */
function compiledRules(rules: MutationRules): MutationRules {
  // It is not enumerable, so a changed copy of the rules does not have it.
  return Object.defineProperty({ ...rules }, EXPRESSIONS, { value: compiledExpressions(rules) });
}

/** Returns the expressions of rules. They are compiled already if {@link declareEnvoy} made the rules. */
export function expressionsOf(rules: MutationRules & { readonly [EXPRESSIONS]?: Expressions }): Expressions {
  return rules[EXPRESSIONS] ?? compiledExpressions(rules);
}

function compiledExpressions({ allowExpression, disallowExpression }: MutationRules): Expressions {
  if (allowExpression === undefined && disallowExpression === undefined) return NO_EXPRESSIONS;
  return {
    allow: allowExpression === undefined ? undefined : nameExpression(allowExpression),
    disallow: disallowExpression === undefined ? undefined : nameExpression(disallowExpression),
  };
}
