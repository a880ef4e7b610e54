import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError, type ShedReason } from "./end-reason.ts";
import { CANCEL, ENHANCE_YOUR_CALM, PROTOCOL_ERROR } from "./error-codes.ts";
import type { ServerStream } from "./server-stream.ts";

/** Counts a frame that costs the peer less than us. */
export function chargeControlFrame({ budgets }: ConnectionContext): void {
  if (!budgets.controlFrames.take()) {
    throw new ConnectionError(ENHANCE_YOUR_CALM, "control_flood", "too many control frames");
  }
}

/**
 * A stream error (RFC 9113 section 5.4.2): the stream is reset. It costs budget, since a peer could make us reset
 * streams on purpose, and thereby start more work than maxConcurrentStreams allows.
 */
export function failStream(context: ConnectionContext, stream: ServerStream, code: number): void {
  context.streams.reset(stream, code);
  chargeStreamError(context);
}

/**
 * A malformed request (RFC 9113 section 8.1.1): the stream is reset and was never opened. It costs no budget. No work was
 * begun for it, so it is as cheap as a request that is answered at once. And a client can make a proxy send it: Envoy
 * passes header values on that begin or end with a blank. Such a client must not end the connection that it shares.
 */
export function rejectStream(context: ConnectionContext, streamId: number, fault: string): void {
  context.totals.streamErrors++;
  context.streams.refuse(streamId, PROTOCOL_ERROR);
  context.onMalformedRequest?.(fault);
}

/** Resets a stream to free memory. It costs no budget: a client can make a proxy open such streams. */
export function shedStream(context: ConnectionContext, stream: ServerStream, reason: ShedReason): void {
  context.totals.streamsShed[reason]++;
  context.onStreamShed?.(reason);
  context.streams.reset(stream, reason === "answer_memory" ? ENHANCE_YOUR_CALM : CANCEL);
}

function chargeStreamError({ totals, budgets }: ConnectionContext): void {
  totals.streamErrors++;
  if (!budgets.streamErrors.take()) {
    throw new ConnectionError(ENHANCE_YOUR_CALM, "stream_error_flood", "too many streams in error");
  }
}
