import { bytesToText, textToBytes } from "../wire/header-text.ts";
import type { LocalReply } from "./filter/filter-state.ts";
import { HeaderMap } from "./http/header-map.ts";
import { grpcStatusOfHttp } from "./http/http-to-grpc-status.ts";

/** A local reply as Envoy sends it: headers, and a body unless the headers end the reply. */
export interface PreparedReply {
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
  readonly endStream: boolean;
}

/**
 * Writes a local reply. The headers can be changed before Envoy writes length and type. A client that speaks gRPC gets
 * a response that consists of trailers, with the body as `grpc-message`.
 */
export function prepareLocalReply(reply: LocalReply, request: HeaderMap | undefined): PreparedReply {
  const headers = new HeaderMap("response", [[":status", String(reply.status)]]);
  reply.mutate?.(headers);
  headers.set(":status", textToBytes(String(reply.status)));
  if (isGrpc(request)) {
    writeGrpcStatus(headers, reply);
    return { headers, body: reply.body, endStream: true };
  }
  if (reply.body.length === 0) {
    headers.remove("content-length");
    headers.remove("content-type");
    return { headers, body: reply.body, endStream: true };
  }
  headers.set("content-length", textToBytes(String(reply.body.length)));
  if (!headers.has("content-type")) headers.set("content-type", textToBytes("text/plain"));
  return { headers, body: reply.body, endStream: request?.get(":method") === "HEAD" };
}

function isGrpc(request: HeaderMap | undefined): boolean {
  return /^application\/grpc(?:$|[+;])/.test(request?.get("content-type") ?? "");
}

function writeGrpcStatus(headers: HeaderMap, { status, grpcStatus, body }: LocalReply): void {
  headers.set(":status", textToBytes("200"));
  headers.set("content-type", textToBytes("application/grpc"));
  headers.remove("content-length");
  if (!headers.has("grpc-status")) {
    headers.set("grpc-status", textToBytes(String(grpcStatus ?? grpcStatusOfHttp(status))));
  }
  if (body.length > 0) headers.set("grpc-message", textToBytes(percentEncoded(bytesToText(body))));
}

/**
 * Encodes text as Envoy does. The simulator has its own copy on purpose, so that it does not depend on the server's
 * code.
 */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const byte of textToBytes(text)) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
