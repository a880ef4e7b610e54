import { Code } from "@connectrpc/connect";
import { withPrefix } from "../../protocol/grpc-framing.ts";
import { bodyOf, type ConnectAnswer, type ConnectRequest } from "./connect-handler.ts";

/** The codes with which calls are rejected: their names in Connect's JSON, and their HTTP statuses. */
const REFUSALS = {
  [Code.InvalidArgument]: { name: "invalid_argument", status: 400 },
  [Code.PermissionDenied]: { name: "permission_denied", status: 403 },
  // The client was too slow, so 504, Connect's status for this code, would be wrong.
  [Code.DeadlineExceeded]: { name: "deadline_exceeded", status: 408 },
  [Code.ResourceExhausted]: { name: "resource_exhausted", status: 429 },
  [Code.Unavailable]: { name: "unavailable", status: 503 },
} as const;

type RefusalCode = keyof typeof REFUSALS;

/** True if {@link refusal} accepts this code. */
export function isRefusalCode(code: Code): code is RefusalCode {
  return code in REFUSALS;
}

/** An answer that rejects a call with an error, in the protocol of the call, before a handler sees it. */
export function refusal({ header }: ConnectRequest, code: RefusalCode, message: string): ConnectAnswer {
  const contentType = header.get("content-type") ?? "";
  const { name, status } = REFUSALS[code];
  if (/^application\/grpc/i.test(contentType)) {
    // gRPC's "trailers only" form has the status in the headers.
    const trailers = { "grpc-status": String(code), "grpc-message": encodeURIComponent(message) };
    return { status: 200, header: new Headers({ "content-type": contentType, ...trailers }) };
  }
  const error = { code: name, message };
  if (/^application\/connect\+/i.test(contentType)) {
    return { status: 200, header: new Headers({ "content-type": contentType }), body: bodyOf(endOfStream({ error })) };
  }
  const headers = new Headers({ "content-type": "application/json" });
  return { status, header: headers, body: bodyOf(encoder.encode(JSON.stringify(error))) };
}

const encoder = new TextEncoder();
/** Marks the last envelope of a Connect stream. */
const END_STREAM_FLAG = 2;

function endOfStream(end: unknown): Uint8Array {
  return withPrefix(END_STREAM_FLAG, encoder.encode(JSON.stringify(end)));
}
