import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM } from "./error-codes.ts";
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

/** The same for a stream that was never opened, because its headers are at fault. */
export function rejectStream(context: ConnectionContext, streamId: number, code: number): void {
  context.streams.refuse(streamId, code);
  chargeStreamError(context);
}

function chargeStreamError({ totals, budgets }: ConnectionContext): void {
  totals.streamErrors++;
  if (!budgets.streamErrors.take()) {
    throw new ConnectionError(ENHANCE_YOUR_CALM, "stream_error_flood", "too many streams in error");
  }
}
