/** The bytes in front of each gRPC message: a flag, and four bytes of length. gRPC-Web and streams of Connect have them too. */
export const GRPC_PREFIX_BYTES = 5;
