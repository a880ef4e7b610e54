import { create } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { FaultCode } from "../fault.ts";
import { grpcStatusOf } from "../fault-status.ts";
import type { Direction } from "../phase.ts";
import type { ImmediateAnswer } from "./answer.ts";

/**
 * What is not a 500: faults of a server that is not there yet, goes, or has no memory left, since another one may do
 * better, and what is wrong with a request's body.
 */
const STATUS: Partial<Readonly<Record<FaultCode, number>>> = {
  not_ready: 503,
  server_draining: 503,
  body_memory_exceeded: 503,
  message_memory_exceeded: 503,
  body_stalled: 504,
};
const REQUEST_STATUS: Partial<Readonly<Record<FaultCode, number>>> = {
  body_too_large: 413,
  body_stalled: 408,
  message_too_large: 413,
  unknown_coding: 415,
  body_undecodable: 400,
  body_not_json: 400,
  grpc_message_malformed: 400,
};

/**
 * The immediate response of the fault policy `closed`: 503 where the server is not ready, goes or is full; 413, 415 or 400
 * for a request whose body is to blame; else 500. It has no body, since its client need not know more. Envoy's access log gets the code, as `ext_proc_fault_…` in
 * `%RESPONSE_CODE_DETAILS%`.
 */
export function faultResponse(code: FaultCode, direction?: Direction): ImmediateAnswer {
  const status = (direction === "request" ? REQUEST_STATUS[code] : undefined) ?? STATUS[code] ?? 500;
  const response = create(ProcessingResponseSchema, {
    response: {
      case: "immediateResponse",
      value: {
        status: { code: status },
        grpcStatus: { status: grpcStatusOf(code) },
        details: `ext_proc_fault_${code}`,
      },
    },
  });
  return { kind: "immediate", responses: [response] };
}
