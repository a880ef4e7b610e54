import type { DataFrame, DataStatus } from "../http/filter-path.ts";
import type { FilterDirection } from "./direction-state.ts";
import type { FilterState } from "./filter-state.ts";
import { sendBody } from "./send-message.ts";

/** BUFFERED: the body is held until its end, and then sent as one message. */
export function receiveBuffered(filter: FilterState, state: FilterDirection, frame: DataFrame): DataStatus {
  state.paused = true;
  if (!frame.endStream) return "stop_and_buffer";
  if (!filter.openStream()) return "continue";
  const { path } = state;
  path.addBuffered(frame.bytes);
  if (path.aborted) return "stop_no_buffer";
  sendBody(filter, state, {
    bytes: path.buffered?.bytes() ?? frame.bytes,
    endStream: true,
    waitsFor: "buffered_body",
  });
  return "stop_no_buffer";
}

/**
 * STREAMED and FULL_DUPLEX_STREAMED: each piece is sent as it arrives. In STREAMED the piece waits in a queue for its
 * answer. In FULL_DUPLEX_STREAMED Envoy keeps no copy, and the receiver gets only what the server sends.
 */
export function receiveStreamed(filter: FilterState, state: FilterDirection, frame: DataFrame): DataStatus {
  if (!filter.openStream()) return "continue";
  const { bytes, endStream } = frame;
  if (bytes.length === 0 && !endStream && !filter.config.release.sendsEmptyChunks) return "stop_no_buffer";
  if (state.mode.body === "STREAMED") enqueue(filter, state, frame);
  const waitsFor = state.waitsFor === "headers" ? "headers" : "streamed_body";
  sendBody(filter, state, { bytes, endStream, waitsFor });
  if (endStream || waitsFor === "headers") state.paused = true;
  return "stop_no_buffer";
}

/**
 * BUFFERED_PARTIAL: the body is held until its end or the limit, and then sent as one message. The rest after the limit
 * is not sent to the server.
 */
export function receivePartial(filter: FilterState, state: FilterDirection, frame: DataFrame): DataStatus {
  if (state.partialBodyProcessed) {
    // Headers cannot be changed any more, because they continue together with this piece.
    state.headers = undefined;
    return "continue";
  }
  enqueue(filter, state, frame);
  if (state.waitsFor === "buffered_partial_body") {
    state.paused = true;
    return "stop_no_buffer";
  }
  if (!frame.endStream && !isOverLimit(filter, state)) return "stop_no_buffer";
  if (!filter.openStream()) return "continue";
  sendPartial(filter, state);
  state.paused = true;
  return "stop_no_buffer";
}

/** Sends what has arrived of a BUFFERED_PARTIAL body. */
export function sendPartial(filter: FilterState, state: FilterDirection): void {
  sendBody(filter, state, { ...state.queue.consolidate(), waitsFor: "buffered_partial_body" });
}

/** Queues a piece until its answer. If too many bytes wait, the source must wait too. */
export function enqueue(filter: FilterState, state: FilterDirection, { bytes, endStream }: DataFrame): void {
  state.queue.push(bytes, endStream);
  if (isOverLimit(filter, state)) state.raiseWatermark();
}

/** True if more bytes wait for answers than Envoy keeps. */
export function isOverLimit(filter: FilterState, { queue }: FilterDirection): boolean {
  return queue.byteLength > filter.callbacks.bufferLimitBytes;
}

/** True if few enough bytes wait for answers, so that the source can continue. */
export function isBelowLowLimit(filter: FilterState, { queue }: FilterDirection): boolean {
  return queue.byteLength < filter.callbacks.bufferLimitBytes / 2;
}

/** Envoy's default `initial_stream_window_size`. It limits what Envoy buffers for an HTTP/2 client. */
export const STREAM_WINDOW_BYTES = 16 * 1024 * 1024;
