import type { HttpHeaders } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { bytesToText } from "../../wire/header-text.ts";
import type { Direction, Phase } from "../phase.ts";
import type { HeaderChange } from "./header-mutation.ts";
import { allHeaders, type HeaderFields, header, joinedText, pseudoHeader } from "./headers.ts";

/** Decides, with `content-length`, where a message ends. */
export interface MessageFraming {
  /** `:method` of a request; undefined on a response, or if Envoy's `forward_rules` hid it. */
  readonly method: string | undefined;
  /** `:status` of a response; undefined on a request, or if Envoy's `forward_rules` hid it. */
  readonly status: string | undefined;
  /** True if neither a body nor trailers follow. */
  readonly isHeadersOnly: boolean;
  /** True for a request that asks for a tunnel: CONNECT, or `connection: upgrade` with `upgrade`. */
  readonly asksForTunnel: boolean;
}

/** Knows the framing of both messages of an exchange. */
interface FramedExchange {
  framing(direction: Direction): MessageFraming | undefined;
}

/**
 * What follows the headers of a message: a body, nothing, or bytes of another protocol (RFC 9110 6.4.1, RFC 9112 6.3).
 */
export type Content = "body" | "none" | "tunnel";

/** Final statuses of responses without content. */
const BODILESS: ReadonlySet<string | undefined> = new Set(["204", "205", "304"]);
/** The status of a response that switches to another protocol. */
const SWITCHING_PROTOCOLS = "101";
const INTERIM = /^1\d\d$/;
const SUCCESSFUL = /^2\d\d$/;
/** Methods that decide, with the status, where a response ends. */
const FRAMING_METHODS: readonly string[] = ["HEAD", "CONNECT"];

/** Returns the framing of the message with these headers, as they came. */
export function framingOf(direction: Direction, fields: HeaderFields, isHeadersOnly: boolean): MessageFraming {
  const method = direction === "request" ? pseudoHeader(fields, ":method") : undefined;
  const status = direction === "response" ? pseudoHeader(fields, ":status") : undefined;
  const asksForTunnel = method === "CONNECT" || (direction === "request" && isUpgrade(fields));
  return { method, status, isHeadersOnly, asksForTunnel };
}

/** Envoy removes both headers from a request if it does not support the upgrade, so a server does not see them then. */
function isUpgrade(fields: HeaderFields): boolean {
  if (joinedText(fields, "upgrade") === undefined) return false;
  return allHeaders(fields, "connection").some((value) =>
    value.split(",").some((token) => token.trim().toLowerCase() === "upgrade"),
  );
}

/** True for a status whose responses have no content: 1xx, 204, 205 and 304. */
export function isBodilessStatus(status: string | undefined): boolean {
  return status !== undefined && (BODILESS.has(status) || INTERIM.test(status));
}

/**
 * Returns what follows the headers of a message. A request that asks for a tunnel counts as a tunnel before the
 * upstream accepts it. Until then Envoy does not send what follows (1.38 and earlier: only of WebSockets).
 */
export function contentOf(direction: Direction, exchange: FramedExchange): Content {
  const request = exchange.framing("request");
  if (direction === "request") return request?.asksForTunnel ? "tunnel" : "body";
  const status = exchange.framing("response")?.status;
  if (opensTunnel(status, request)) return "tunnel";
  // A 205 should have no content, but its framing decides whether the client reads a body (RFC 9112 6.3).
  const isBodiless = status !== "205" && isBodilessStatus(status);
  return isBodiless || request?.method === "HEAD" ? "none" : "body";
}

function opensTunnel(status: string | undefined, request: MessageFraming | undefined): boolean {
  if (status === SWITCHING_PROTOCOLS) return true;
  return request?.method === "CONNECT" && status !== undefined && SUCCESSFUL.test(status);
}

/**
 * True for a response that describes the body that a GET would get, without that body: to HEAD, and 304. Its headers
 * must be those of that body (RFC 9110 8.6, 9.3.2).
 */
export function tellsOfBody(exchange: FramedExchange): boolean {
  const status = exchange.framing("response")?.status;
  if (status === "304") return true;
  return exchange.framing("request")?.method === "HEAD" && !isBodilessStatus(status);
}

/**
 * Says why a change would move the end of a message away from where its receiver expects it; undefined if it does not.
 * Envoy checks none of this: a 204 with a body, or the body of a GET that the client sent as HEAD, is read as the
 * beginning of the next response on the connection.
 *
 * @param exchange Knows how the messages were framed when they came.
 */
export function refuseFramingChange(change: HeaderChange, phase: Phase, exchange: FramedExchange): string | undefined {
  if (change.op === "remove") return undefined;
  if (change.name === ":status" && (phase === "responseHeaders" || phase === "responseBody")) {
    return refuseStatusChange(bytesToText(change.value), phase, exchange);
  }
  if (change.name === ":method" && phase === "requestBody")
    return "Envoy accepts a change of the method in the answer to the headers only";
  if (change.name !== ":method" || phase !== "requestHeaders") return undefined;
  const from = exchange.framing("request")?.method;
  if (from === undefined) return "Envoy did not send :method, so it is unknown whether the client expects a body";
  // Methods are case-sensitive, but not every upstream respects that.
  const to = bytesToText(change.value).toUpperCase();
  const framing = FRAMING_METHODS.find((method) => method === to || method === from);
  return framing === undefined || from === to
    ? undefined
    : `a request cannot become or stop being ${framing}: its client would expect the end of the response at another place`;
}

function refuseStatusChange(status: string, phase: Phase, exchange: FramedExchange): string | undefined {
  const from = exchange.framing("response")?.status;
  const request = exchange.framing("request");
  if (opensTunnel(from, request) !== opensTunnel(status, request))
    return opensTunnel(from, request)
      ? `the response with status ${from} opens a tunnel; another status would not close it`
      : `status ${status} would open a tunnel that the upstream did not open`;
  // A piece of a body proves that there is a body, even if the piece is empty.
  const isBodiless = phase === "responseHeaders" && exchange.framing("response")?.isHeadersOnly === true;
  return isBodilessStatus(status) && !isBodiless
    ? `status ${status} has no body, and this response has one; use immediateResponse(${status})`
    : undefined;
}

/**
 * Says why a body is only a part, which cannot be changed without the rest; undefined if it is not: a response to
 * `range`, or the part of an upload that `content-range` names.
 */
export function isPartOfMore(
  direction: Direction,
  exchange: FramedExchange & { headers(direction: Direction): HttpHeaders | undefined },
): string | undefined {
  if (exchange.framing(direction)?.status === "206") return "the response is a part of something larger (206)";
  const headers = direction === "request" ? exchange.headers(direction) : undefined;
  return headers && header(headers, "content-range") !== undefined
    ? "the request is a part of something larger (content-range)"
    : undefined;
}

/**
 * Says why these headers do not allow another body; undefined if they do. The framing follows from the original headers
 * and from the changes of handlers.
 */
export function refuseReplacing(status: string | undefined): string | undefined {
  if (isBodilessStatus(status)) return `a response with status ${status} has no body`;
  return status === "206" ? "a response with status 206 is a part of something larger" : undefined;
}

/**
 * True if a response without a body gets a status with a body. Its `content-length`, which a 304 may have, describes a
 * body that does not come, and must be removed.
 */
export function outlivesLength(
  message: { readonly framing: MessageFraming | undefined },
  changes: readonly HeaderChange[],
): boolean {
  return changes.some(({ name }) => name === ":status") && isBodilessStatus(message.framing?.status);
}
