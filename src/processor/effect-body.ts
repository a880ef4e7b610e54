import type { BodyPhase, HeaderPhase } from "../protocol/phase.ts";
import { type BodyEnd, type Effect, effect } from "./effect.ts";

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
