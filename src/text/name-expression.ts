/** A regular expression of Envoy's configuration for header names. */
export interface NameExpression {
  /**
   * True if the expression matches the whole name. The time is linear in the length of the name, for every expression.
   */
  matches(name: string): boolean;
}

/** The used part of the package re2js. */
interface Re2 {
  readonly RE2JS: { compile(pattern: string): NameExpression };
}

/** Loads the package for the first expression. Most servers declare none, and no earlier code can wait for a promise. */
function re2(): Re2["RE2JS"] {
  return (process.getBuiltinModule("node:module").createRequire(import.meta.url)("re2js") as Re2).RE2JS;
}

/**
 * Compiles an expression in RE2's syntax, as Envoy reads it in `mutation_rules`. Node's own RegExp has another syntax and
 * can take exponential time, and a client can choose the name that is matched.
 *
 * @throws An error that says what RE2 does not accept.
 */
export function nameExpression(pattern: string): NameExpression {
  const compiled = re2().compile(pattern);
  return { matches: (name) => compiled.matches(name) };
}

/** Says why Envoy would not accept an expression; undefined if it would. */
export function refuseNameExpression(pattern: unknown): string | undefined {
  if (typeof pattern !== "string" || pattern === "")
    return 'must be an RE2 expression that is not empty, such as "x-internal-.*"';
  try {
    nameExpression(pattern);
    return undefined;
  } catch (cause) {
    // The cause's message comes from RE2 and is about a text that the operator wrote.
    return `${JSON.stringify(pattern)} is not an RE2 expression: ${(cause as Error).message}`;
  }
}
