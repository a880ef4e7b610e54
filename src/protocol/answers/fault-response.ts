import { create } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type FaultCode, faultKind, grpcStatusOf } from "../faults.ts";
import type { Direction } from "../phase.ts";
import type { ImmediateAnswer } from "./answer.ts";

/**
 * Makes the immediate response of the fault policy `closed`. It has no body, because the client must not learn more.
 * Envoy's access log gets the code, as `ext_proc_fault_…` in `%RESPONSE_CODE_DETAILS%`.
 */
export function faultResponse(code: FaultCode, direction?: Direction): ImmediateAnswer {
  const status = faultKind(code).httpStatus?.[direction ?? "response"] ?? 500;
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
