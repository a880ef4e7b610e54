import type { FaultCode } from "./fault.ts";

/**
 * The gRPC status of each fault, by gRPC's own numbers, which Connect shares. A processor's failure is INTERNAL, or
 * DEADLINE_EXCEEDED where it took too long; what the peer got wrong is INVALID_ARGUMENT or names its limit (for
 * compression it is what gRPC's compression.md demands: UNIMPLEMENTED and INTERNAL), and
 * FAILED_PRECONDITION where its configuration is not as declared; a server that has to go, or is not there yet, is
 * UNAVAILABLE, which a retry may mend. Never OK: Envoy takes that for "let it pass".
 */
const STATUS: Readonly<Record<FaultCode, number>> = {
  handler_threw: 13,
  invalid_effect: 13,
  header_ambiguous: 13,
  header_limit_exceeded: 13,
  mutation_not_allowed: 13,
  mode_override_not_allowed: 13,
  immediate_response_disabled: 13,
  streamed_response_impossible: 13,
  body_end_unknowable: 9,
  body_required_unseen: 9,
  handler_unsupported_in_mode: 9,
  body_partial_content: 9,
  body_too_large: 8,
  body_memory_exceeded: 8,
  unknown_coding: 3,
  body_undecodable: 3,
  body_not_json: 3,
  grpc_message_malformed: 3,
  headers_already_sent: 13,
  tail_undeliverable: 13,
  handler_timeout: 4,
  not_ready: 14,
  config_invalid: 3,
  phase_not_sent: 9,
  answer_not_awaited: 9,
  answer_too_late: 4,
  override_ignored: 9,
  body_stalled: 4,
  phase_out_of_order: 3,
  message_too_large: 8,
  message_memory_exceeded: 8,
  malformed_message: 3,
  compressed_message: 12,
  compression_undeclared: 13,
  server_draining: 14,
  internal_error: 13,
};

/** The gRPC status with which a stream ends that failed so. */
export function grpcStatusOf(code: FaultCode): number {
  return STATUS[code];
}

/** Name of the gRPC metadata that carries a fault's code in addition to the status, for programs: the status alone is not precise. */
export const FAULT_METADATA = "ext-proc-fault";
