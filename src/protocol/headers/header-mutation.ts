import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
} from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { HeaderMutation } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** One change of a header map. Names are lower-case; values are exact bytes. */
export type HeaderChange =
  | { readonly op: "set"; readonly name: string; readonly value: Uint8Array }
  | { readonly op: "append"; readonly name: string; readonly value: Uint8Array }
  | { readonly op: "remove"; readonly name: string };

/** So many names are compared with each other sooner than a table is made. */
const MAX_COMPARED = 8;

/** What is left of all changes to one name: whether older values go, and which values come. */
interface NetChange {
  replaces: boolean;
  readonly values: Uint8Array[];
}

/**
 * Writes changes, made one after the other, as the one mutation that has the same result in Envoy, which
 * first removes and then sets: a later `remove` takes back an earlier `set`, a later `set` an earlier `append`.
 * Undefined if there is nothing to change.
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

/** As `create` makes it, which takes several times as long. */
function headerMutation(setHeaders: HeaderValueOption[], removeHeaders: string[]): HeaderMutation {
  return { $typeName: "envoy.service.ext_proc.v3.HeaderMutation", setHeaders, removeHeaders };
}

/**
 * One entry of `set_headers`, as Envoy really reads it: the value in `raw_value`, since a mutation with `value`
 * alone sets an empty header, and both `append`, which alone counts in Envoy's ext_proc, and `append_action`,
 * which alone counts elsewhere (gRPC A93, agentgateway).
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

/** True for a few changes of which none undoes another; more than that need a table to tell. */
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
