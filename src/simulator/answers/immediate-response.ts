import type { ImmediateResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { FilterState } from "../filter/filter-state.ts";
import { replyLocally, stopProcessing } from "./failure.ts";
import { mutateReplyHeaders } from "./mutate-headers.ts";

/** The status that Envoy sends if the server gave none, or a status that does not end a response. */
const DEFAULT_STATUS = 200;
/** Headers of an immediate response that Envoy writes itself, whatever the server sets. */
const OVERRULED: readonly string[] = [":status", "content-length", "host"];

/** Sends an immediate response. It ends the transaction in any phase. */
export function respondImmediately(filter: FilterState, response: ImmediateResponse): void {
  const { status, headers, body, grpcStatus, details } = response;
  for (const { header } of headers?.setHeaders ?? []) {
    const name = header?.key.toLowerCase() ?? "";
    if (OVERRULED.includes(name)) filter.warn("immediate_header_overruled", undefined, name);
  }
  if (status === undefined || status.code < 200) filter.warn("immediate_status_invalid", undefined);
  stopProcessing(filter);
  const isSent = replyLocally(filter, {
    status: finalStatus(status?.code ?? DEFAULT_STATUS),
    body,
    details,
    grpcStatus: grpcStatus?.status,
    mutate: headers && ((map) => mutateReplyHeaders(filter, map, headers)),
  });
  if (!isSent) filter.warn("immediate_too_late", undefined);
}

/** Envoy keeps 16 bits of the number. */
function finalStatus(code: number): number {
  return code < 200 ? DEFAULT_STATUS : code & 0xffff;
}
