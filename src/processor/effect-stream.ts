import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ModeOverride } from "../protocol/mode-override.ts";
import type { HeaderPhase } from "../protocol/phase.ts";
import {
  type EditablePhase,
  type Effect,
  effect,
  type ImmediateResponseOptions,
  type StreamedImmediateResponseOptions,
} from "./effect.ts";

/**
 * Answers the client at once, in place of the upstream. The first one wins: header changes before it are dropped, dynamic
 * metadata before it goes along, and nothing behind it is looked at. Once response headers have left, Envoy can only reset the client.
 *
 * @param status 200 to 999. 204, 205 and 304 take no body.
 */
export function immediateResponse(status: number, options: ImmediateResponseOptions = {}): Effect<EditablePhase> {
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
export function setDynamicMetadata(namespace: string, value: JsonObject): Effect<EditablePhase> {
  return effect({ kind: "setDynamicMetadata", namespace, value });
}

/**
 * Sets the typed dynamic metadata of a namespace, in place of what it has (Envoy 1.40 and later). Make the value with
 * `anyPack` of protobuf-es.
 */
export function setTypedDynamicMetadata(namespace: string, value: Any): Effect<EditablePhase> {
  return effect({ kind: "setTypedDynamicMetadata", namespace, value });
}

/**
 * Has Envoy choose the route anew, by headers that were changed. It need not be said where `:path`, `:authority` or
 * `:method` change.
 */
export function clearRouteCache(): Effect<"requestHeaders"> {
  return effect({ kind: "clearRouteCache" });
}
