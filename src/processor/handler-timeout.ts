import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";

/**
 * The time that an answer needs to reach Envoy, in milliseconds, for the network, a busy event loop and garbage
 * collection.
 */
export const MARGIN_MS = 50;

/** The timeout of a processor's asynchronous handlers, and the extension that makes Envoy wait for them. */
export interface HandlerTimeout {
  /** The time from the delivery of a message to its answer. */
  readonly timeoutMs: number;
  /** Sent for each message that is not answered in time; undefined if Envoy waits long enough without it. */
  readonly extension: TimeoutExtension | undefined;
}

/** An `override_message_timeout`: one for each waiting message, before Envoy's own timeout is over. */
export interface TimeoutExtension {
  /** When it is sent, counted from the delivery of the message. */
  readonly afterMs: number;
  /** The time that it grants. Envoy restarts its timer when it arrives. */
  readonly grantMs: number;
}

/**
 * Returns the timeout of a processor that wants `timeoutMs`. It is never longer than Envoy waits: `maxMessageTimeoutMs`
 * if that is more than `messageTimeoutMs`, otherwise `messageTimeoutMs` without a margin for the answer.
 */
export function handlerTimeout(timeoutMs: number, declaration: EnvoyDeclaration): HandlerTimeout {
  const { messageTimeoutMs, maxMessageTimeoutMs } = declaration;
  const beforeTimeoutMs = withoutMargin(messageTimeoutMs);
  if (timeoutMs <= beforeTimeoutMs) return { timeoutMs, extension: undefined };
  if (maxMessageTimeoutMs <= messageTimeoutMs) {
    // Envoy's timer started earlier. With the same time, Envoy's 504 would come before the fault policy applies.
    return { timeoutMs: timeoutMs < messageTimeoutMs ? timeoutMs : beforeTimeoutMs, extension: undefined };
  }
  // Envoy counts the grant from its arrival, so the total time is more than maxMessageTimeoutMs.
  const grantedMs = Math.min(timeoutMs, maxMessageTimeoutMs);
  const grantMs = Math.min(maxMessageTimeoutMs, grantedMs - beforeTimeoutMs + MARGIN_MS);
  return { timeoutMs: grantedMs, extension: { afterMs: beforeTimeoutMs, grantMs } };
}

/** A quarter for short timeouts, because 50 ms would be too much of them. */
function withoutMargin(messageTimeoutMs: number): number {
  return Math.max(1, Math.floor(messageTimeoutMs - Math.min(MARGIN_MS, messageTimeoutMs / 4)));
}
