import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
} from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { HeaderMutation } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ValueChange } from "../../wire/known-changes.ts";

/** One change of one header. Names are lower-case; values are exact bytes. */
export type HeaderChange = ValueChange | { readonly op: "remove"; readonly name: string };

/** Up to this number of changes, comparing all names is faster than creating a table. */
const MAX_COMPARED = 8;

/** The combined changes of one name: whether old values are removed, and which values are added. */
interface NetChange {
  replaces: boolean;
  readonly values: Uint8Array[];
}

/**
 * Combines changes, applied in order, into one mutation with the same result in Envoy, which first removes and then
 * sets. A later `remove` cancels an earlier `set`, and a later `set` cancels an earlier `append`. Undefined if nothing
 * changes.
 */
export function toHeaderMutation(changes: readonly HeaderChange[]): HeaderMutation | undefined {
  if (changes.length === 0) return undefined;
  const setHeaders: HeaderValueOption[] = [];
  const removeHeaders: string[] = [];
  if (areOfDistinctNames(changes)) {
    for (const change of changes) {
      if (change.op === "remove") removeHeaders.push(change.name);
      else setHeaders.push(headerValueOption(change.name, change.value, change.op));
    }
    return headerMutation(setHeaders, removeHeaders);
  }
  for (const [name, { replaces, values }] of netChanges(changes)) {
    if (replaces && values.length === 0) removeHeaders.push(name);
    values.forEach((value, index) => {
      setHeaders.push(headerValueOption(name, value, replaces && index === 0 ? "set" : "append"));
    });
  }
  return headerMutation(setHeaders, removeHeaders);
}

/** The same result as that of `create`, which takes several times as long. */
function headerMutation(setHeaders: HeaderValueOption[], removeHeaders: string[]): HeaderMutation {
  return { $typeName: "envoy.service.ext_proc.v3.HeaderMutation", setHeaders, removeHeaders };
}

/**
 * Makes one entry of `set_headers` in the form that Envoy really reads. The value is in `raw_value`, because a mutation
 * with only `value` sets an empty header. Both `append` and `append_action` are set: Envoy's ext_proc reads only the
 * first, and other data planes only the second (gRPC A93, agentgateway).
 */
export function headerValueOption(key: string, rawValue: Uint8Array, op: "set" | "append"): HeaderValueOption {
  return {
    $typeName: "envoy.config.core.v3.HeaderValueOption",
    header: { $typeName: "envoy.config.core.v3.HeaderValue", key, value: "", rawValue },
    append: op === "append",
    appendAction:
      op === "append"
        ? HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD
        : HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    keepEmptyValue: false,
  };
}

/** True for a few changes with different names. More changes need a table. */
function areOfDistinctNames(changes: readonly HeaderChange[]): boolean {
  if (changes.length > MAX_COMPARED) return false;
  for (let at = 1; at < changes.length; at++) {
    const name = changes[at]?.name;
    for (let before = 0; before < at; before++) if (changes[before]?.name === name) return false;
  }
  return true;
}

function netChanges(changes: readonly HeaderChange[]): ReadonlyMap<string, NetChange> {
  const net = new Map<string, NetChange>();
  for (const change of changes) {
    if (change.op === "append") {
      const known = net.get(change.name);
      if (known) known.values.push(change.value);
      else net.set(change.name, { replaces: false, values: [change.value] });
    } else {
      net.set(change.name, { replaces: true, values: change.op === "set" ? [change.value] : [] });
    }
  }
  return net;
}
