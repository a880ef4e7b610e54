import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError, type ShedReason } from "./end-reason.ts";
import { CANCEL, ENHANCE_YOUR_CALM, PROTOCOL_ERROR } from "./error-codes.ts";
import type { ServerStream } from "./server-stream.ts";

/** Counts a frame that costs the server more than the client. Ends the connection if there are too many. */
export function chargeControlFrame({ buckets }: ConnectionContext): void {
  if (!buckets.controlFrames.take()) {
    throw new ConnectionError(ENHANCE_YOUR_CALM, "control_flood", "too many control frames");
  }
}

/**
 * Resets a stream because of a stream error (RFC 9113 section 5.4.2). Such resets have a rate limit: a client could
 * make the server reset streams on purpose, and so start more work than maxConcurrentStreams allows.
 */
export function failStream(context: ConnectionContext, stream: ServerStream, code: number): void {
  context.streams.reset(stream, code);
  chargeStreamError(context);
}

/**
 * Resets the stream of a malformed request (RFC 9113 section 8.1.1), which was never opened. Such resets have no rate
 * limit: no work was begun, so they are as cheap as a request that is answered at once. Clients can also make a proxy
 * send such requests, because Envoy forwards header values that begin or end with a blank. Such a client must not end a
 * connection that it shares with others.
 */
export function rejectStream(context: ConnectionContext, streamId: number, fault: string): void {
  context.totals.streamErrors++;
  context.streams.refuse(streamId, PROTOCOL_ERROR);
  context.onMalformedRequest?.(fault);
}

/** Resets a stream to free memory. Such resets have no rate limit: a client can make a proxy open such streams. */
export function shedStream(context: ConnectionContext, stream: ServerStream, reason: ShedReason): void {
  context.totals.streamsShed[reason]++;
  context.onStreamShed?.(reason);
  context.streams.reset(stream, reason === "answer_memory" ? ENHANCE_YOUR_CALM : CANCEL);
}

function chargeStreamError({ totals, buckets }: ConnectionContext): void {
  totals.streamErrors++;
  if (!buckets.streamErrors.take()) {
    throw new ConnectionError(ENHANCE_YOUR_CALM, "stream_error_flood", "too many streams in error");
  }
}
