import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { fault } from "../../protocol/fault.ts";
import type { Session } from "../../session/session.ts";
import { hasTooManyHeaders, MAX_MESSAGE_HEADERS } from "../../wire/message-limits.ts";

/**
 * Passes a message that protobuf-es has parsed to a session, unless it has more headers than the gRPC transport would
 * accept.
 */
export function receive(session: Session, request: ProcessingRequest): void {
  if (!hasTooManyHeaders(request)) session.receive(request);
  else session.fail(fault("malformed_message", `a message has more than ${MAX_MESSAGE_HEADERS} headers`));
}
