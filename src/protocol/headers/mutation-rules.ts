import { expressionsOf } from "../envoy-declaration.ts";
import type { MutationRules } from "../envoy-settings.ts";
import type { HeaderChange } from "./header-mutation.ts";
import { quoteName } from "./header-rules.ts";

/** Headers that choose the route; Envoy drops changes to them unless `allow_all_routing` is set. */
const ROUTING_HEADERS: ReadonlySet<string> = new Set(["host", ":authority", ":scheme", ":method"]);

/**
 * Says why Envoy would reject a change of this header, and which field of its `mutation_rules` to change. Undefined if
 * Envoy would accept it. The fields are checked in Envoy's order; the first one that applies decides.
 *
 * @param rules As the operator declared them.
 */
export function refuseByMutationRules({ name }: Pick<HeaderChange, "name">, rules: MutationRules): string | undefined {
  const { allow, disallow } = expressionsOf(rules);
  if (disallow?.matches(name))
    return `Envoy refuses changes of header ${quoteName(name)}: disallow_expression of its mutation_rules matches the name`;
  if (allow?.matches(name)) return undefined;
  if (rules.disallowAll)
    return `Envoy refuses changes of header ${quoteName(name)}: its mutation_rules have disallow_all; add the name to their allow_expression, and to mutationRules.allowExpression`;
  if (!rules.allowAllRouting && ROUTING_HEADERS.has(name))
    return `Envoy drops changes of header ${quoteName(name)} unless its mutation_rules have allow_all_routing; if they do, declare mutationRules.allowAllRouting`;
  if (rules.disallowSystem && name.startsWith(":"))
    return `Envoy refuses changes of header ${quoteName(name)}: its mutation_rules have disallow_system; add the name to their allow_expression, and to mutationRules.allowExpression`;
  if (!rules.allowEnvoy && name.startsWith("x-envoy-"))
    return `Envoy drops changes of header ${quoteName(name)} unless its mutation_rules have allow_envoy; if they do, declare mutationRules.allowEnvoy`;
  return undefined;
}

/** True if the rules can refuse a header that is not a routing header, a pseudo-header or one of Envoy's own. */
export function refusesPlainNames({ disallowAll, disallowExpression }: MutationRules): boolean {
  return disallowAll === true || disallowExpression !== undefined;
}
