import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";

/** Which time an answer needs from us to Envoy, at least: a network, a busy event loop, a collection of garbage. In milliseconds. */
export const MARGIN_MS = 50;

/** How long a processor's asynchronous handlers may take, and what Envoy has to be told so that it waits for them. */
export interface TimeLimit {
  /** From a message's delivery to its answer. */
  readonly timeoutMs: number;
  /** Sent for each message that is not answered by then; undefined where Envoy waits long enough by itself. */
  readonly extension: TimeoutExtension | undefined;
}

/** An `override_message_timeout`: one for each awaited message, before Envoy's own time-out is over. */
export interface TimeoutExtension {
  /** When it is sent, from the message's delivery. */
  readonly afterMs: number;
  /** What it grants from then on: Envoy starts its timer anew with it. */
  readonly grantMs: number;
}

/**
 * The limit for a processor that wants `timeoutMs`. What Envoy would not wait for is cut off: to `maxMessageTimeoutMs`
 * where that is more than `messageTimeoutMs`, else to what is left of `messageTimeoutMs` without a margin for the answer.
 */
export function timeLimit(timeoutMs: number, declaration: EnvoyDeclaration): TimeLimit {
  const { messageTimeoutMs, maxMessageTimeoutMs } = declaration;
  const beforeTimeoutMs = withoutMargin(messageTimeoutMs);
  if (timeoutMs <= beforeTimeoutMs) return { timeoutMs, extension: undefined };
  if (maxMessageTimeoutMs <= messageTimeoutMs) {
    // Envoy's time began earlier than ours: where both are the same, its 504 would come before any policy of ours.
    return { timeoutMs: timeoutMs < messageTimeoutMs ? timeoutMs : beforeTimeoutMs, extension: undefined };
  }
  // Envoy counts the grant from its arrival on, so that all of it together is more than maxMessageTimeoutMs.
  const grantedMs = Math.min(timeoutMs, maxMessageTimeoutMs);
  const grantMs = Math.min(maxMessageTimeoutMs, grantedMs - beforeTimeoutMs + MARGIN_MS);
  return { timeoutMs: grantedMs, extension: { afterMs: beforeTimeoutMs, grantMs } };
}

/** A quarter for small time-outs, which have no 50 ms to spare. */
function withoutMargin(messageTimeoutMs: number): number {
  return Math.max(1, Math.floor(messageTimeoutMs - Math.min(MARGIN_MS, messageTimeoutMs / 4)));
}
