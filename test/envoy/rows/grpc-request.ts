import { connect, type IncomingHttpHeaders } from "node:http2";

/** What a gRPC client got: its first headers, and all that came behind them. */
export interface GrpcOutcome {
  readonly headers: IncomingHttpHeaders;
  /** True if the first headers were the last, too: gRPC's "trailers-only". */
  readonly trailersOnly: boolean;
}

/** Sends a gRPC request with an empty message over HTTP/2 with prior knowledge. */
export async function sendGrpc(port: number): Promise<GrpcOutcome> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  const fixed = { ":method": "POST", ":path": "/test.Service/Method", te: "trailers" };
  const stream = session.request({ ...fixed, "content-type": "application/grpc" });
  stream.end(Buffer.alloc(5));
  try {
    const headers = await new Promise<[IncomingHttpHeaders, number]>((resolve, reject) => {
      stream.on("error", reject).on("close", () => reject(new Error("there was no response")));
      stream.on("response", (received, flags) => resolve([received, flags]));
    });
    // END_STREAM (RFC 9113 6.2).
    return { headers: headers[0], trailersOnly: (headers[1] & 1) === 1 };
  } finally {
    session.destroy();
  }
}
