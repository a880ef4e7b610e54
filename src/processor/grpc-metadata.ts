/**
 * The metadata of the gRPC call that brought the transaction: what `grpc_initial_metadata` of Envoy's filter says, per
 * route if need be, and tracing headers of Envoy's own. Not the HTTP headers of the transaction. Names are compared
 * case-insensitively.
 */
export interface GrpcMetadata {
  /** The first value as text; undefined where there is none. */
  get(name: string): string | undefined;
  /** Every value as text, in order. */
  all(name: string): readonly string[];
  /**
   * The first value of a name that ends in `-bin`, decoded from base64 (gRPC over HTTP/2, "Binary-Header"); undefined
   * where there is none, or it is no base64.
   */
  bytes(name: string): Uint8Array | undefined;
}

/** The headers of a gRPC call, whatever holds them. */
export interface CallHeaders {
  /** Every value of a lower-case name, in order. */
  all(name: string): readonly string[];
}

/** The headers of a call without any. */
export const NO_CALL_HEADERS: CallHeaders = { all: () => [] };

/** Reads metadata out of a call's headers. */
export function readGrpcMetadata(headers: CallHeaders): GrpcMetadata {
  const all = (name: string) => (name.startsWith(":") ? [] : headers.all(name.toLowerCase()));
  return {
    get: (name) => all(name)[0],
    all,
    bytes(name) {
      const [first] = all(name);
      // Several binary values may have been joined with commas, which base64 does not have.
      return first !== undefined && name.toLowerCase().endsWith("-bin")
        ? decodeBase64(first.split(",", 1)[0] ?? "")
        : undefined;
    },
  };
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    // Takes what has no padding too, as gRPC wants it.
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
