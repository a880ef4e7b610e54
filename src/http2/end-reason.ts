/**
 * Why a connection ended, as stable names for counters and logs. The error code of the GOAWAY frame is less precise:
 * every flood is ENHANCE_YOUR_CALM.
 */
export const END_REASONS = [
  // Not an error.
  "closed_by_peer",
  "closed_by_application",
  "drained",
  // Caused by the network.
  "socket_error",
  "keep_alive_timeout",
  // The client is slow, perhaps on purpose.
  "preface_timeout",
  "settings_ack_timeout",
  "partial_frame_timeout",
  "write_stall_timeout",
  "connection_age_grace",
  // The client floods.
  "control_flood",
  "empty_frame_flood",
  "reset_flood",
  "stream_error_flood",
  "header_block_flood",
  "hpack_bomb",
  // The client breaks the protocol.
  "invalid_preface",
  "invalid_frame_size",
  "invalid_frame",
  "invalid_hpack",
  "invalid_stream_state",
  "flow_control_violation",
  // A defect of this code.
  "internal_error",
] as const;

/** Why a connection ended: see END_REASONS. */
export type EndReason = (typeof END_REASONS)[number];

/**
 * Why this server reset a stream to free memory.
 *
 * - `answer_memory`: its answers wait, and there is no room for another one (ENHANCE_YOUR_CALM).
 * - `answer_stalled`: its answers wait, and the client read none for answerStallTimeoutMs (CANCEL).
 * - `message_stalled`: the client sent half a message, and nothing more for messageStallTimeoutMs (CANCEL).
 */
export const SHED_REASONS = ["answer_memory", "answer_stalled", "message_stalled"] as const;

/** See SHED_REASONS. */
export type ShedReason = (typeof SHED_REASONS)[number];

/**
 * A connection error (RFC 9113 section 5.4.1): thrown while a frame is read, it ends the connection with GOAWAY(code).
 * Applications see it as the `error` of a closed connection and never throw it.
 */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** Error code of RFC 9113 section 7. */
  readonly code: number;
  readonly reason: EndReason;

  constructor(code: number, reason: EndReason, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}
