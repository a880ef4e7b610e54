import { HeaderMap } from "./header-map.ts";
import type { ClientRequest, UpstreamResponse } from "./http-exchange.ts";

/**
 * The client's headers as the filter finds them. Over HTTP/1 `transfer-encoding` is not among them: Envoy takes off what
 * belongs to the connection.
 */
export function requestHeadersOf(request: ClientRequest): HeaderMap {
  const { method, scheme = "http", authority = "example.test", path = "/", headers = [], chunks = [] } = request;
  const map = new HeaderMap("request", [
    [":authority", authority],
    [":path", path],
    [":method", method ?? (chunks.length > 0 ? "POST" : "GET")],
    [":scheme", scheme],
    ...headers,
  ]);
  return withoutConnectionHeaders(map);
}

/** The upstream's headers as the filter finds them. */
export function responseHeadersOf({ status = 200, headers = [] }: UpstreamResponse): HeaderMap {
  return withoutConnectionHeaders(new HeaderMap("response", [[":status", String(status)], ...headers]));
}

function withoutConnectionHeaders(map: HeaderMap): HeaderMap {
  for (const name of ["connection", "keep-alive", "proxy-connection", "transfer-encoding"]) map.remove(name);
  return map;
}
