import { GrpcStatus } from "../../protocol/grpc-status.ts";

const OF_HTTP_STATUS: Readonly<Record<number, number>> = {
  400: GrpcStatus.INTERNAL,
  401: GrpcStatus.UNAUTHENTICATED,
  403: GrpcStatus.PERMISSION_DENIED,
  404: GrpcStatus.UNIMPLEMENTED,
  429: GrpcStatus.UNAVAILABLE,
  502: GrpcStatus.UNAVAILABLE,
  503: GrpcStatus.UNAVAILABLE,
  504: GrpcStatus.UNAVAILABLE,
};

/**
 * Returns the status of a response that is not gRPC, by gRPC's mapping. It is UNKNOWN if the mapping has no entry, as for
 * 200.
 */
export function grpcStatusOfHttp(status: number): number {
  return OF_HTTP_STATUS[status] ?? GrpcStatus.UNKNOWN;
}
