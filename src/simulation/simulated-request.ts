import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type {
  ClientRequest,
  HeaderLine,
  HttpBodyInit,
  HttpExchange,
  UpstreamResponse,
  VirtualRoute,
} from "../simulator/http/http-exchange.ts";
import { requestsTunnel } from "../simulator/http/tunnel.ts";
import { textToBytes } from "../wire/header-text.ts";
import { type HeaderRecord, headerLines } from "./header-lines.ts";
import { checkProperties, type PropertiesOf } from "./known-properties.ts";
import { bodyBytes } from "./messages.ts";
import type { UpstreamRequest } from "./simulated-transaction.ts";

/** The body of a simulated message: at most one of `body`, `json` and `chunks`. */
export interface SimulatedBody {
  /** The whole body, with a `content-length`. Text is sent as UTF-8. */
  readonly body?: string | Uint8Array | undefined;
  /** The body as a value, sent as JSON with its `content-type`, unless `headers` names another. */
  readonly json?: unknown;
  /**
   * The body in pieces, as they arrive, without a `content-length`. If the request asks for a tunnel (CONNECT, or
   * `connection: upgrade` with `upgrade`), these are the bytes that the client sends through the open tunnel. The
   * pieces of the response that opens it (101, or 2xx to CONNECT) are what the upstream sends. The upstream closes the
   * tunnel after it has sent its pieces and received as many bytes as the client sends.
   */
  readonly chunks?: readonly (string | Uint8Array)[] | undefined;
  /**
   * The time before each piece, in milliseconds of the simulated clock. Default: 0, and all pieces come with the
   * headers.
   */
  readonly chunkIntervalMs?: number | undefined;
  /** Headers in addition to those of the body. Default: none. */
  readonly headers?: HeaderRecord | undefined;
  /** Trailers after the body. Default: none. */
  readonly trailers?: HeaderRecord | undefined;
}

/** The response of the upstream. */
export interface SimulatedResponse extends SimulatedBody {
  /**
   * 101 if the request asks for an upgrade, otherwise 200 to 999. Default: 200. Over HTTP/2 the client gets a 101 as
   * 200.
   */
  readonly status?: number | undefined;
  /** The time before the response, in milliseconds of the simulated clock. Default: 0. */
  readonly delayMs?: number | undefined;
  /** When that time begins. Default: `request_end`. */
  readonly startsAfter?: "request_end" | "request_headers" | undefined;
}

/** The upstream's response, or a function that makes it from the request that the upstream got. */
export type SimulatedUpstream = SimulatedResponse | ((request: UpstreamRequest) => SimulatedResponse);

/** What a test sends, in addition to method and path. */
export interface SimulatedRequest extends SimulatedBody {
  /** Default: `example.test`. */
  readonly authority?: string | undefined;
  /** Default: `http`. */
  readonly scheme?: string | undefined;
  /** The protocol of client and upstream. Default: `http1`. */
  readonly protocol?: "http1" | "http2" | undefined;
  /** The client leaves this many milliseconds of the simulated clock after its headers. Default: never. */
  readonly abortAfterMs?: number | undefined;
  /** The upstream's response to this request. Default: as in the options of `simulate`. */
  readonly response?: SimulatedUpstream | undefined;
  /** The route's configuration of the processor, sent as `x-ext-proc-config`. Default: as in the options of `simulate`. */
  readonly config?: JsonValue | undefined;
  /** Routes in order; the first that matches wins. Default: one, named `default`. */
  readonly routes?: readonly VirtualRoute[] | undefined;
  /** Dynamic metadata that earlier filters have set, by namespace. */
  readonly metadata?: Readonly<Record<string, JsonObject>> | undefined;
  /** Values of attributes that do not follow from the request, such as `source.address`. */
  readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
}

/** The argument of `send`. */
export interface SimulatedRequestLine extends SimulatedRequest {
  /** Default: GET, or POST if there is a body. */
  readonly method?: string | undefined;
  /** Path and query. Default: `/`. */
  readonly path?: string | undefined;
}

const BODY: PropertiesOf<SimulatedBody> = {
  body: true,
  json: true,
  chunks: true,
  chunkIntervalMs: true,
  headers: true,
  trailers: true,
};
const REQUEST: PropertiesOf<SimulatedRequestLine> = {
  method: true,
  path: true,
  ...BODY,
  authority: true,
  scheme: true,
  protocol: true,
  abortAfterMs: true,
  response: true,
  config: true,
  routes: true,
  metadata: true,
  attributes: true,
};
const RESPONSE: PropertiesOf<SimulatedResponse> = { status: true, ...BODY, delayMs: true, startsAfter: true };

/**
 * Makes the exchange of a test's request, without its response.
 *
 * @throws {TypeError} If the request cannot be sent.
 */
export function httpExchange(request: SimulatedRequestLine): HttpExchange {
  checkProperties("request", request, REQUEST);
  const { method, path = "/", authority, scheme, protocol, abortAfterMs, routes, metadata, attributes } = request;
  if (typeof path !== "string" || !(path.startsWith("/") || path === "*")) {
    throw new TypeError(`path: ${JSON.stringify(path)} must begin with "/"; a host goes under authority`);
  }
  const body = bodyInit("request", request);
  if (requestsTunnel({ method, headers: body.headers })) checkTunnelBody("request", request);
  return {
    protocol,
    request: { method, scheme, authority, path, abortAfterMs, ...body },
    routes,
    dynamicMetadata: metadata,
    attributes,
  };
}

/**
 * Makes the upstream's response to a request.
 *
 * @throws {TypeError} If it is not a valid response, or opens a tunnel that the request does not ask for.
 */
export function upstreamResponse(response: SimulatedResponse, request: ClientRequest): UpstreamResponse {
  checkProperties("response", response, RESPONSE);
  const { status, delayMs, startsAfter } = response;
  if (status !== undefined && !isFinalStatus(status)) {
    throw new TypeError(`response.status: ${String(status)} must be 101 or a whole number from 200 to 999`);
  }
  const isConnect = request.method === "CONNECT";
  if (status === 101 && (isConnect || !requestsTunnel(request))) {
    throw new TypeError(
      'response.status: 101 needs a request that asks for an upgrade: headers { connection: "upgrade", upgrade: "websocket" }',
    );
  }
  const opensTunnel = status === 101 || (isConnect && (status ?? 200) < 300);
  if (opensTunnel) checkTunnelBody("response", response);
  return { status, delayMs, startsAfter, ...bodyInit("response", response) };
}

function isFinalStatus(status: number): boolean {
  return Number.isInteger(status) && (status === 101 || (status >= 200 && status <= 999));
}

function checkTunnelBody(where: string, init: SimulatedBody): void {
  const given = (["body", "json", "trailers"] as const).find((property) => init[property] !== undefined);
  if (given === undefined) return;
  throw new TypeError(`${where}.${given}: a tunnel has no body and no trailers; put what goes through it under chunks`);
}

function bodyInit(where: string, init: SimulatedBody): HttpBodyInit & { readonly headers: readonly HeaderLine[] } {
  const given = (["body", "json", "chunks"] as const).filter((property) => init[property] !== undefined);
  if (given.length > 1) throw new TypeError(`${where}: has ${given.join(" and ")}, but one message has one body`);
  const headers = headerLines(`${where}.headers`, init.headers ?? {});
  const has = (name: string) => headers.some(([key]) => key === name);
  const whole = wholeBody(where, init);
  if (init.json !== undefined && !has("content-type")) headers.push(["content-type", "application/json"]);
  // Trailers need a body without a length.
  if (whole !== undefined && init.trailers === undefined && !has("content-length")) {
    headers.push(["content-length", String(whole.length)]);
  }
  return {
    headers,
    chunks: whole === undefined ? init.chunks : [whole].filter(({ length }) => length > 0),
    chunkIntervalMs: init.chunkIntervalMs,
    trailers: init.trailers && headerLines(`${where}.trailers`, init.trailers),
  };
}

function wholeBody(where: string, { body, json }: SimulatedBody): Uint8Array | undefined {
  if (json === undefined) return body === undefined ? undefined : bodyBytes(`${where}.body`, body);
  const text: string | undefined = JSON.stringify(json);
  if (text === undefined) throw new TypeError(`${where}.json: is ${typeof json}, which JSON does not have`);
  return textToBytes(text);
}
