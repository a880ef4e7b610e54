/**
 * The metadata of the gRPC call that brought the transaction: the `grpc_initial_metadata` of Envoy's filter or of the
 * route, and Envoy's own tracing headers. These are not the HTTP headers of the transaction. Names are compared
 * case-insensitively.
 */
export interface GrpcMetadata {
  /** The first value as text; undefined if there is none. */
  get(name: string): string | undefined;
  /** Every value as text, in order. */
  all(name: string): readonly string[];
  /**
   * The first value of a name that ends in `-bin`, decoded from base64 (gRPC over HTTP/2, "Binary-Header"); undefined
   * if there is none, or if it is not base64.
   */
  bytes(name: string): Uint8Array | undefined;
}

/** The headers of a gRPC call, in any representation. */
export interface CallHeaders {
  /** Every value of a lower-case name, in order. */
  all(name: string): readonly string[];
}

/** The headers of a call without headers. */
export const NO_CALL_HEADERS: CallHeaders = { all: () => [] };

/** Reads metadata from a call's headers. */
export function readGrpcMetadata(headers: CallHeaders): GrpcMetadata {
  const all = (name: string) => (name.startsWith(":") ? [] : headers.all(name.toLowerCase()));
  return {
    get: (name) => all(name)[0],
    all,
    bytes(name) {
      const [first] = all(name);
      // Several binary values may be joined with commas, which base64 does not contain.
      return first !== undefined && name.toLowerCase().endsWith("-bin")
        ? decodeBase64(first.split(",", 1)[0] ?? "")
        : undefined;
    },
  };
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    // It also accepts base64 without padding, as gRPC requires.
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
