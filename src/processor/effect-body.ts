import type { BodyPhase, HeaderPhase } from "../protocol/phase.ts";
import { type BodyEnd, type Effect, effect } from "./effect.ts";

/**
 * Replaces the body with these bytes. The runtime corrects `content-length` and, where the handler was given a decoded
 * body, encodes it again. Do not write to the bytes any more.
 */
export function replaceBody(bytes: Uint8Array): Effect<BodyPhase> {
  return effect({ kind: "replaceBody", bytes });
}

/** The same with text, sent as UTF-8. */
export function replaceText(text: string): Effect<BodyPhase> {
  return effect({ kind: "replaceText", text });
}

/** The same with a value as JSON. `content-type` stays what it is. */
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
