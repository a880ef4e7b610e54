import { nameExpression } from "../../text/name-expression.ts";
import type { StringMatcher } from "./simulated-envoy-settings.ts";

/** Returns true if a name matches. */
export type NamePredicate = (name: string) => boolean;

/**
 * Makes a predicate of a pattern of Envoy's configuration in RE2's syntax, which must match a whole name.
 *
 * @throws {SyntaxError} If RE2 does not accept the pattern: Envoy rejects such a configuration.
 */
export function wholeNamePattern(pattern: string): NamePredicate {
  try {
    const expression = nameExpression(pattern);
    return (name) => expression.matches(name);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SyntaxError(`${JSON.stringify(pattern)} is not an RE2 expression: ${reason}`, { cause });
  }
}

/** Makes a predicate of a matcher of Envoy's configuration. A matcher without a pattern matches nothing. */
export function namePredicate(matcher: StringMatcher): NamePredicate {
  const fold = matcher.ignoreCase ? (text: string) => text.toLowerCase() : (text: string) => text;
  if (matcher.exact !== undefined) return compared(fold, matcher.exact, (name, wanted) => name === wanted);
  if (matcher.prefix !== undefined) return compared(fold, matcher.prefix, (name, wanted) => name.startsWith(wanted));
  if (matcher.suffix !== undefined) return compared(fold, matcher.suffix, (name, wanted) => name.endsWith(wanted));
  if (matcher.contains !== undefined) return compared(fold, matcher.contains, (name, wanted) => name.includes(wanted));
  if (matcher.safeRegex !== undefined) return wholeNamePattern(matcher.safeRegex);
  return () => false;
}

function compared(
  fold: (text: string) => string,
  wanted: string,
  matches: (name: string, wanted: string) => boolean,
): NamePredicate {
  const folded = fold(wanted);
  return (name) => matches(fold(name), folded);
}
