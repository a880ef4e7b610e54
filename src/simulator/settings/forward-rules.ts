import type { ForwardRules } from "./filter-settings.ts";
import { type NamePredicate, namePredicate } from "./name-pattern.ts";

/** Whether the server sees a header or trailer of that name. Pseudo-headers are not exception. */
export function forwardPredicate(rules: ForwardRules = {}): NamePredicate {
  const allowed = (rules.allowedHeaders ?? []).map(namePredicate);
  const disallowed = (rules.disallowedHeaders ?? []).map(namePredicate);
  if (allowed.length === 0 && disallowed.length === 0) return () => true;
  return (name) =>
    !disallowed.some((matches) => matches(name)) && (allowed.length === 0 || allowed.some((matches) => matches(name)));
}
