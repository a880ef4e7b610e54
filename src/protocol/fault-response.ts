import { create } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ImmediateAnswer } from "./answer.ts";
import type { FaultCode } from "./fault.ts";
import { grpcStatusOf } from "./fault-status.ts";

/** Faults of a server that is not there yet, or goes: another one may do better. */
const UNAVAILABLE: ReadonlySet<FaultCode> = new Set<FaultCode>(["not_ready", "server_draining"]);

/**
 * The immediate response of the fault policy `closed`: 503 where the server is not ready or goes, else 500. It has no body,
 * since its client need not know more. Envoy's access log gets the code, as `ext_proc_fault_…` in
 * `%RESPONSE_CODE_DETAILS%`.
 */
export function faultResponse(code: FaultCode): ImmediateAnswer {
  const response = create(ProcessingResponseSchema, {
    response: {
      case: "immediateResponse",
      value: {
        status: { code: UNAVAILABLE.has(code) ? 503 : 500 },
        grpcStatus: { status: grpcStatusOf(code) },
        details: `ext_proc_fault_${code}`,
      },
    },
  });
  return { kind: "immediate", responses: [response] };
}
