import type { StringMatcher } from "./filter-settings.ts";

/** Whether a name is meant. */
export type NamePredicate = (name: string) => boolean;

/**
 * A pattern of Envoy's configuration, which has to match a name as a whole. Envoy's patterns are RE2's; what RE2 shares
 * with JavaScript, and flags in front such as `(?i)`, is understood.
 *
 * @throws SyntaxError where it is no pattern, as Envoy refuses such a configuration.
 */
export function wholeNamePattern(pattern: string): NamePredicate {
  const [, flags = "", rest = pattern] = /^\(\?([ims]+)\)(.*)$/s.exec(pattern) ?? [];
  const regex = new RegExp(`^(?:${rest})$`, flags);
  return (name) => regex.test(name);
}

/** A matcher of Envoy's configuration as a function. One without a pattern matches nothing. */
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
