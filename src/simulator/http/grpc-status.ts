/** The numbers of gRPC that Envoy uses for streams that end without a status. */
export const UNKNOWN = 2;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;

const OF_HTTP_STATUS: Readonly<Record<number, number>> = {
  400: INTERNAL,
  401: 16,
  403: 7,
  404: 12,
  429: UNAVAILABLE,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
};

/**
 * Returns the status of a response that is not gRPC, by gRPC's mapping. It is UNKNOWN if the mapping has no entry, as
 * for 200.
 */
export function grpcStatusOfHttp(status: number): number {
  return OF_HTTP_STATUS[status] ?? UNKNOWN;
}
