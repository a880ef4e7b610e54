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
 * Sets a header and removes its old values. In trailer phases it sets a trailer.
 *
 * @param name Compared case-insensitively, sent in lower case. `host`, `:authority`, `:scheme`, `:method` and
 * `x-envoy-*` are a `mutation_not_allowed` fault unless the operator declared that Envoy's `mutation_rules` allow them.
 * Framing headers (`content-length`, `transfer-encoding`, …) are set only by the server, and are an `invalid_effect`
 * fault.
 * @param value Text is sent as UTF-8, bytes without changes. Text from `header()` or `tx.request` is sent with the
 * bytes that it was read from, UTF-8 or not, also as a part of a longer text. Control characters other than tab are an
 * `invalid_effect` fault.
 */
export function setHeader(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("setHeader", name, value);
}

/** Adds one more value to a header, after its existing values. Names and values as for {@link setHeader}. */
export function appendHeader(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("appendHeader", name, value);
}

/**
 * Sets a header if it is absent. An existing header, even with an empty value, does not change. The server checks this
 * itself, because Envoy ignores `append_action`. Names and values as for {@link setHeader}.
 */
export function addHeaderIfAbsent(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("addHeaderIfAbsent", name, value);
}

/** Sets a header if it exists, and removes its old values. An absent header is not added. */
export function overwriteHeaderIfExists(name: string, value: string | Uint8Array): Effect<EditablePlace> {
  return headerValueEffect("overwriteHeaderIfExists", name, value);
}

/** Removes every value of a header. `host` and names that begin with `:` cannot be removed. */
export function removeHeader(name: string): Effect<EditablePlace> {
  return effect({ kind: "removeHeader", name });
}

/**
 * Sets `:path`, including the query. Envoy selects the route again, because the answer has `clear_route_cache`.
 *
 * @param path Begins with `/`, or is `*`. Visible ASCII without `#`: percent-encode the rest, for example by
 * `encodeURI()`.
 */
export function setPath(path: string): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "setPath", value: path });
}

/**
 * Sets `:authority`, the host and port that the client asked for. Envoy selects the route again. It is a
 * `mutation_not_allowed` fault unless the operator declared `mutationRules.allowAllRouting`.
 *
 * @param authority In ASCII. Write other hosts as punycode, for example by `new URL("http://" + host).host`.
 */
export function setAuthority(authority: string): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "setAuthority", value: authority });
}

/**
 * Sets `:method`. Envoy selects the route again. It is a `mutation_not_allowed` fault unless the operator declared
 * `mutationRules.allowAllRouting`.
 */
export function setMethod(method: string): Effect<"requestHeaders"> {
  return effect({ kind: "setMethod", value: method });
}

/** Sets the status of the upstream's response, 200 to 999. Headers and body do not change. */
export function setStatus(status: number): Effect<"responseHeaders" | "responseBody"> {
  return effect({ kind: "setStatus", status });
}

/**
 * Replaces the body with these bytes. The server corrects `content-length`. If the handler got a decoded body, the
 * server encodes the new one again. Do not change the bytes afterwards.
 */
export function replaceBody(bytes: Uint8Array): Effect<BodyPhase> {
  return effect({ kind: "replaceBody", bytes });
}

/**
 * Replaces the body with a text, in the charset of the body and with its byte order mark. A text that cannot be written
 * in that charset is written in UTF-8, and the charset in `content-type` is corrected. If `content-type` was already
 * sent, it is a `headers_already_sent` fault. If the text is the one that the handler got, every byte of the body stays
 * the same.
 */
export function replaceText(text: string): Effect<BodyPhase> {
  return effect({ kind: "replaceText", text });
}

/**
 * Replaces the body with a value as JSON. Parts that are equal to parts of the old body keep their source text: digits
 * that JavaScript cannot store, escapes, white space, the order of members. This applies to a changed parsed value and
 * to a new value made from it. `content-type` does not change.
 *
 * Numbers with more than 15 digits may look the same in JavaScript. If it is unknown which one is meant, for example
 * because some were removed from an array, it is an `invalid_effect` fault.
 */
export function replaceJson(value: unknown): Effect<BodyPhase> {
  return effect({ kind: "replaceJson", value });
}

/** Makes the body empty. */
export function clearBody(): Effect<BodyPhase> {
  return effect({ kind: "clearBody" });
}

/**
 * Adds bytes, or text as UTF-8, after the last chunk of a body. If nothing can be added at the end of the body any
 * more, it is a `tail_undeliverable` fault.
 */
export function appendChunk(body: string | Uint8Array): Effect<BodyEnd> {
  return effect({ kind: "appendChunk", body });
}

/**
 * Replaces the whole body with these bytes, or with text as UTF-8, even if there was no body. Envoy drops the rest of
 * the old body and sends nothing more of this direction. `content-length` is removed. The method does not change; add
 * `setMethod` to change it.
 */
export function continueAndReplace(body: string | Uint8Array): Effect<HeaderPhase> {
  return effect({ kind: "continueAndReplace", body });
}

/**
 * Answers the client at once, instead of the upstream. The first one ends the transaction: earlier header changes are
 * dropped, earlier dynamic metadata is sent with it, and later effects are ignored. After the response headers were
 * sent, Envoy can only reset the client.
 *
 * @param status 200 to 999. 204, 205 and 304 must not have a body.
 */
export function immediateResponse(status: number, options: ImmediateResponseOptions = {}): Effect<EditablePlace> {
  return effect({ ...options, kind: "immediateResponse", status });
}

/**
 * Answers the client at once in several messages, so that a long response need not be one message. It needs Envoy 1.37
 * or later. A body or trailers need the request body mode NONE or FULL_DUPLEX_STREAMED, otherwise it is a
 * `streamed_response_impossible` fault. A client that sent HEAD gets only the headers.
 *
 * @param status 200 to 999. 204, 205 and 304 must not have a body.
 */
export function streamedImmediateResponse(
  status: number,
  options: StreamedImmediateResponseOptions = {},
): Effect<"requestHeaders"> {
  return effect({ ...options, kind: "streamedImmediateResponse", status });
}

/**
 * Changes what Envoy sends from now on. It is a `mode_override_not_allowed` fault unless the operator declared that
 * Envoy's `allow_mode_override` is on, and also in any other case in which Envoy would ignore it. Modes that are not
 * named do not change. An override that changes nothing is not sent.
 */
export function overrideMode(modes: ModeOverride): Effect<HeaderPhase> {
  return effect({ kind: "overrideMode", modes });
}

/**
 * Sets dynamic metadata, for later filters and access logs. Other keys of the namespace do not change. Envoy drops
 * namespaces that the filter's `receiving_namespaces` do not list.
 */
export function setDynamicMetadata(namespace: string, value: JsonObject): Effect<EffectPlace> {
  return effect({ kind: "setDynamicMetadata", namespace, value });
}

/**
 * Sets the typed dynamic metadata of a namespace, and removes the old value (Envoy 1.40 and later). Make the value with
 * `anyPack` of protobuf-es.
 */
export function setTypedDynamicMetadata(namespace: string, value: Any): Effect<EffectPlace> {
  return effect({ kind: "setTypedDynamicMetadata", namespace, value });
}

/**
 * Makes Envoy select the route again, by the changed headers. It is not needed if `:path`, `:authority` or `:method`
 * change.
 */
export function clearRouteCache(): Effect<"requestHeaders" | "requestBody"> {
  return effect({ kind: "clearRouteCache" });
}
