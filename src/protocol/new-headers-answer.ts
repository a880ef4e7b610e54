import type {
  CommonResponse,
  HeaderMutation,
  HeadersResponse,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderPhase } from "./phase.ts";

/** An answer to headers, neutral where there is no mutation. It is as `create` makes it, which takes ten times as long. */
export function newHeadersAnswer(
  phase: HeaderPhase,
  headerMutation: HeaderMutation | undefined,
  clearRouteCache: boolean,
): ProcessingResponse {
  const value: HeadersResponse = { $typeName: "envoy.service.ext_proc.v3.HeadersResponse" };
  if (headerMutation) value.response = commonResponse(headerMutation, clearRouteCache);
  return {
    $typeName: "envoy.service.ext_proc.v3.ProcessingResponse",
    response: { case: phase, value },
    requestDrain: false,
    typedDynamicMetadata: {},
    requestDrainRequests: false,
    requestDrainResponses: false,
  };
}

function commonResponse(headerMutation: HeaderMutation, clearRouteCache: boolean): CommonResponse {
  return { $typeName: "envoy.service.ext_proc.v3.CommonResponse", status: 0, headerMutation, clearRouteCache };
}
