import { type EditablePlace, type Effect, effect, headerValueEffect } from "./effect.ts";

/**
 * Sets a header, in place of every value it has. In trailer phases it sets a trailer.
 *
 * @param name Compared case-insensitively, sent in lower case. `host`, `:authority`, `:scheme`, `:method` and `x-envoy-*`
 * are fault `mutation_not_allowed` unless the operator declared that Envoy's `mutation_rules` allow them. Framing headers
 * (`content-length`, `transfer-encoding`, …) belong to the runtime and are fault `invalid_effect`.
 * @param value Text is sent as UTF-8, bytes exactly as they are. Text that `header()` or `tx.request` gave is sent with the
 * bytes that it was read from, UTF-8 or not, also in a longer text. Control characters other than tab are fault
 * `invalid_effect`.
 */
export function setHeader(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("setHeader", name, value);
}

/** Adds one more value to a header, behind those it has. Names and values as for {@link setHeader}. */
export function appendHeader(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("appendHeader", name, value);
}

/**
 * Sets a header that is not there; one that is there, even with an empty value, stays as it is. The runtime looks,
 * since Envoy ignores `append_action`. Names and values as for {@link setHeader}.
 */
export function addHeaderIfAbsent(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("addHeaderIfAbsent", name, value);
}

/** Sets a header that is there, in place of every value it has; one that is not there is not added. */
export function overwriteHeaderIfExists(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("overwriteHeaderIfExists", name, value);
}

/** Removes every value of a header. `host` and names that begin with `:` cannot be removed. */
export function removeHeader(name: string): Effect<EditablePlace> {
  return effect({ kind: "removeHeader", name });
}

/**
 * Sets `:path`, query included. Envoy chooses the route anew, since `clear_route_cache` goes along.
 *
 * @param path Begins with `/`, or is `*`. Visible ASCII without `#`: percent-encode the rest, for example by `encodeURI()`.
 */
export function setPath(path: string): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "setPath", value: path });
}

/**
 * Sets `:authority`, the host and port that the client asked for. Envoy chooses the route anew. Fault
 * `mutation_not_allowed` unless the operator declared `mutationRules.allowAllRouting`.
 *
 * @param authority In ASCII: a host beyond it is written as punycode, for example by `new URL("http://" + host).host`.
 */
export function setAuthority(authority: string): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "setAuthority", value: authority });
}

/**
 * Sets `:method`. Envoy chooses the route anew. Fault `mutation_not_allowed` unless the operator declared
 * `mutationRules.allowAllRouting`.
 */
export function setMethod(method: string): Effect<"requestHeaders"> {
  return effect({ kind: "setMethod", value: method });
}

/** Sets the status of the upstream's response, 200 to 999; its headers and body stay. */
export function setStatus(status: number): Effect<"responseHeaders" | "responseBody"> {
  return effect({ kind: "setStatus", status });
}
