import { create } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * Asks Envoy to start its timer for the awaited answer anew (`override_message_timeout`). It carries nothing else, since
 * Envoy would drop that; the answer has to follow.
 *
 * @param grantMs At least 1, and at most Envoy's `max_message_timeout`.
 */
export function timeoutExtension(grantMs: number): ProcessingResponse {
  const overrideMessageTimeout = { seconds: BigInt(Math.floor(grantMs / 1000)), nanos: (grantMs % 1000) * 1_000_000 };
  return create(ProcessingResponseSchema, { overrideMessageTimeout });
}
