import type { JsonValue } from "@bufbuild/protobuf";
import type { HeaderMap } from "./http/header-map.ts";
import { grpcStatusOfHttp } from "./http/http-to-grpc-status.ts";

/** The things that attributes are read from. */
export interface AttributeSource {
  /** Values that the exchange names. They override all others. */
  readonly given: Readonly<Record<string, JsonValue>>;
  readonly protocol: "http1" | "http2";
  readonly request: HeaderMap | undefined;
  readonly response: HeaderMap | undefined;
}

type Reader = (source: AttributeSource) => JsonValue | undefined;

/** Envoy's CEL attributes, if their value follows from the exchange. */
const READERS: Readonly<Record<string, Reader>> = {
  "request.path": ({ request }) => request?.get(":path"),
  "request.url_path": ({ request }) => request?.get(":path")?.split("?", 1)[0],
  "request.query": ({ request }) => queryOf(request?.get(":path")),
  "request.host": ({ request }) => request?.get(":authority"),
  "request.scheme": ({ request }) => request?.get(":scheme"),
  "request.method": ({ request }) => request?.get(":method"),
  "request.referer": ({ request }) => request?.get("referer"),
  "request.useragent": ({ request }) => request?.get("user-agent"),
  "request.id": ({ request }) => request?.get("x-request-id"),
  "request.protocol": ({ protocol }) => (protocol === "http1" ? "HTTP/1.1" : "HTTP/2"),
  // Envoy cannot put a map into a Struct. The server gets the name of its type.
  "request.headers": ({ request }) => request && "CelMap value",
  "response.headers": ({ response }) => response && "CelMap value",
  "request.size": ({ request }) => numberOf(request?.get("content-length")) ?? 0,
  "response.grpc_status": ({ response }) => response && grpcStatusOf(response),
  "response.code": ({ response }) => numberOf(response?.get(":status")),
};

/** Returns the value of an attribute; undefined if it is unknown, or not known yet. */
export function readAttribute(name: string, source: AttributeSource): JsonValue | undefined {
  return source.given[name] ?? READERS[name]?.(source);
}

function queryOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const at = path.indexOf("?");
  return at === -1 ? "" : path.slice(at + 1).split("#", 1)[0];
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** If a response has no gRPC status, Envoy derives one from its HTTP status. */
function grpcStatusOf(response: HeaderMap): number {
  return numberOf(response.get("grpc-status")) ?? grpcStatusOfHttp(Number(response.get(":status")));
}
