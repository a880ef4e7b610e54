import { textToBytes } from "../../wire/header-text.ts";
import { ByteBuffer, NO_BYTES } from "./byte-buffer.ts";
import { HeaderMap } from "./header-map.ts";
import type { ClientRequest, HttpBodyInit, UpstreamResponse } from "./http-exchange.ts";
import { isUpgrade, requestsTunnel } from "./tunnel.ts";

/**
 * Returns the client's headers as the filter gets them. Over HTTP/1 `transfer-encoding` is missing, because Envoy
 * removes the headers of the connection. Over HTTP/2 the parts of a `cookie` are joined.
 */
export function requestHeadersOf(request: ClientRequest, protocol: "http1" | "http2"): HeaderMap {
  const { method, scheme = "http", authority = "example.test", path = "/", headers = [], chunks = [] } = request;
  const map = new HeaderMap("request", [
    [":authority", authority],
    [":path", path],
    [":method", method ?? (chunks.length > 0 && !requestsTunnel(request) ? "POST" : "GET")],
    [":scheme", scheme],
    ...headers,
  ]);
  if (protocol === "http2") joinCookies(map);
  if (map.get(":method") === "CONNECT") map.remove(":path");
  if (isUpgrade(map)) return map;
  map.remove("upgrade");
  return withoutConnectionHeaders(map);
}

function joinCookies(map: HeaderMap): void {
  const crumbs = map.entries.filter(([name]) => name === "cookie").map(([, value]) => value);
  const [first = NO_BYTES, ...more] = crumbs;
  if (more.length === 0) return;
  const cookie = new ByteBuffer();
  cookie.push(first);
  for (const crumb of more) {
    cookie.push(textToBytes("; "));
    cookie.push(crumb);
  }
  map.set("cookie", cookie.bytes());
}

/**
 * Returns the upstream's headers as the filter gets them. They have the headers of the connection, which Envoy removes
 * from a response only when it sends the response.
 */
export function responseHeadersOf(
  { status = 200, headers = [] }: UpstreamResponse,
  { protocol, body, isTunnel }: ResponseFraming,
): HeaderMap {
  const map = new HeaderMap("response", [[":status", String(status)], ...headers]);
  const hasBody = (body.chunks ?? []).length > 0 || (body.trailers ?? []).length > 0;
  if (protocol === "http1" && hasBody && !isTunnel && !map.has("content-length"))
    map.add("transfer-encoding", textToBytes("chunked"));
  return map;
}

interface ResponseFraming {
  readonly protocol: "http1" | "http2";
  readonly body: HttpBodyInit;
  /** True if the response opens a tunnel: then no body follows. */
  readonly isTunnel: boolean;
}

/** Removes the headers of the connection. */
function withoutConnectionHeaders(map: HeaderMap): HeaderMap {
  for (const name of ["connection", "keep-alive", "proxy-connection", "transfer-encoding"]) map.remove(name);
  return map;
}
