import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ModeOverride } from "../protocol/mode-override.ts";
import type { BodyPhase, HeaderPhase } from "../protocol/phase.ts";
import {
  type BodyEnd,
  type EditablePlace,
  type Effect,
  type EffectPlace,
  effect,
  headerValueEffect,
  type ImmediateResponseOptions,
  type StreamedImmediateResponseOptions,
} from "./effect.ts";

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

/**
 * Replaces the body with these bytes. The runtime corrects `content-length` and, where the handler was given a decoded
 * body, encodes it again. Do not write to the bytes any more.
 */
export function replaceBody(bytes: Uint8Array): Effect<BodyPhase> {
  return effect({ kind: "replaceBody", bytes });
}

/**
 * The same with text. It is written in the charset of the body, with its byte order mark. Text that has no form in that
 * charset is written in UTF-8, and the charset of `content-type` is corrected; if that has left, it is fault
 * `headers_already_sent`. The text that the handler was given leaves the body byte for byte.
 */
export function replaceText(text: string): Effect<BodyPhase> {
  return effect({ kind: "replaceText", text });
}

/**
 * The same with a value as JSON. What is equal to what the body had keeps its source text: digits that JavaScript does not
 * hold, escapes, white space, the order of members. That goes for a parsed value that was changed as well as for a new one
 * made of it. `content-type` stays what it is.
 *
 * Numbers of more than 15 digits may look the same to JavaScript. If it cannot be known which one is meant, as where some
 * were removed from an array, it is fault `invalid_effect`.
 */
export function replaceJson(value: unknown): Effect<BodyPhase> {
  return effect({ kind: "replaceJson", value });
}

/** Leaves nothing of the body. */
export function clearBody(): Effect<BodyPhase> {
  return effect({ kind: "clearBody" });
}

/**
 * Adds bytes, or text as UTF-8, behind the last chunk of a body. Where its end comes without a place for them, it is
 * fault `tail_undeliverable`.
 */
export function appendChunk(body: string | Uint8Array): Effect<BodyEnd> {
  return effect({ kind: "appendChunk", body });
}

/**
 * Replaces the whole body, the one that comes or does not, with these bytes, or text as UTF-8: Envoy drops what it has of
 * it and sends nothing more of this direction. `content-length` is removed. The method stays unless `setMethod` goes along.
 */
export function continueAndReplace(body: string | Uint8Array): Effect<HeaderPhase> {
  return effect({ kind: "continueAndReplace", body });
}

/**
 * Answers the client at once, in place of the upstream. The first one wins: header changes before it are dropped, dynamic
 * metadata before it goes along, and nothing behind it is looked at. Once response headers have left, Envoy can only reset the client.
 *
 * @param status 200 to 999. 204, 205 and 304 take no body.
 */
export function immediateResponse(status: number, options: ImmediateResponseOptions = {}): Effect<EditablePlace> {
  return effect({ ...options, kind: "immediateResponse", status });
}

/**
 * Answers the client at once in several messages, so that a long response need not be one. Envoy 1.37 and later; with
 * a body or trailers only where the request body mode is NONE or FULL_DUPLEX_STREAMED, else fault
 * `streamed_response_impossible`. A client that sent HEAD gets the headers alone.
 *
 * @param status 200 to 999. 204, 205 and 304 take no body.
 */
export function streamedImmediateResponse(
  status: number,
  options: StreamedImmediateResponseOptions = {},
): Effect<"requestHeaders"> {
  return effect({ ...options, kind: "streamedImmediateResponse", status });
}

/**
 * Changes what Envoy sends from here on. Fault `mode_override_not_allowed` unless the operator declared that Envoy's
 * `allow_mode_override` is on, and wherever else Envoy would ignore it. Modes that are not named stay as they are; one
 * that changes nothing is not sent.
 */
export function overrideMode(modes: ModeOverride): Effect<HeaderPhase> {
  return effect({ kind: "overrideMode", modes });
}

/**
 * Sets dynamic metadata, for later filters and access logs. What the namespace has stays, but for the keys that are
 * set here. Envoy drops namespaces that the filter's `receiving_namespaces` do not list.
 */
export function setDynamicMetadata(namespace: string, value: JsonObject): Effect<EffectPlace> {
  return effect({ kind: "setDynamicMetadata", namespace, value });
}

/**
 * Sets the typed dynamic metadata of a namespace, in place of what it has (Envoy 1.40 and later). Make the value with
 * `anyPack` of protobuf-es.
 */
export function setTypedDynamicMetadata(namespace: string, value: Any): Effect<EffectPlace> {
  return effect({ kind: "setTypedDynamicMetadata", namespace, value });
}

/**
 * Has Envoy choose the route anew, by headers that were changed. It need not be said where `:path`, `:authority` or
 * `:method` change.
 */
export function clearRouteCache(): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "clearRouteCache" });
}
