import { textToBytes } from "../../wire/header-text.ts";
import type { HeaderMap } from "./header-map.ts";
import type { ClientRequest } from "./http-exchange.ts";

/** A request, and the protocol in which it comes. */
interface Asking {
  readonly protocol: "http1" | "http2";
  readonly request: HeaderMap | undefined;
}

/** True for a request that asks for a tunnel: CONNECT, or an upgrade to another protocol. */
export function asksForTunnel(request: HeaderMap): boolean {
  return request.get(":method") === "CONNECT" || isUpgrade(request);
}

/** Does the same as {@link asksForTunnel} for a request that is not sent yet. */
export function requestsTunnel({ method, headers = [] }: ClientRequest): boolean {
  const value = (wanted: string) =>
    headers.flatMap(([name, bytes]) =>
      name.toLowerCase() === wanted
        ? [typeof bytes === "string" ? bytes : new TextDecoder("latin1").decode(bytes)]
        : [],
    );
  return method === "CONNECT" || (value("upgrade").length > 0 && value("connection").some(namesUpgrade));
}

/** True if there is an `upgrade` header that `connection` names. Envoy then keeps both headers. */
export function isUpgrade(headers: HeaderMap): boolean {
  return headers.has("upgrade") && namesUpgrade(headers.get("connection") ?? "");
}

function namesUpgrade(connection: string): boolean {
  return connection.split(",").some((token) => token.trim().toLowerCase() === "upgrade");
}

/** True if a response with this status opens the tunnel that the request asks for. */
export function opensTunnel(request: HeaderMap | undefined, status: string | undefined): boolean {
  if (request === undefined || status === undefined || !asksForTunnel(request)) return false;
  return status === "101" || (request.get(":method") === "CONNECT" && /^2\d\d$/.test(status));
}

/** Returns the request as the upstream gets it. Over HTTP/2 an upgrade is an extended CONNECT (RFC 8441). */
export function requestOnWire(headers: HeaderMap, protocol: "http1" | "http2"): HeaderMap {
  if (protocol === "http1" || !isUpgrade(headers)) return headers;
  const wire = headers.clone();
  wire.set(":protocol", textToBytes(headers.get("upgrade") ?? ""));
  wire.set(":method", textToBytes("CONNECT"));
  wire.remove("connection");
  wire.remove("upgrade");
  return wire;
}

/** Returns the response as the client gets it. Over HTTP/2 the response that accepts an extended CONNECT is a 200. */
export function responseOnWire(headers: HeaderMap, { protocol, request }: Asking): HeaderMap {
  const wire = headers.clone();
  const opens = opensTunnel(request, headers.get(":status"));
  const isUpgraded = opens && isUpgrade(headers);
  if (!isUpgraded) for (const name of ["connection", "upgrade"]) wire.remove(name);
  for (const name of ["keep-alive", "proxy-connection", "transfer-encoding"]) wire.remove(name);
  if (protocol === "http1" || !isUpgraded) return wire;
  for (const name of ["connection", "upgrade"]) wire.remove(name);
  wire.set(":status", textToBytes("200"));
  return wire;
}
