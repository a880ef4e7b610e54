import type { HttpHeaders } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderChange } from "./header-mutation.ts";
import { bytesToText } from "./header-text.ts";
import { header, pseudoHeader } from "./headers.ts";
import type { Direction, Phase } from "./phase.ts";

/** What decides, besides `content-length`, where a message ends. */
export interface MessageFraming {
  /** `:method` of a request; undefined on a response, or where Envoy's `forward_rules` hid it. */
  readonly method: string | undefined;
  /** `:status` of a response, likewise. */
  readonly status: string | undefined;
  /** Neither a body nor trailers follow. */
  readonly isHeadersOnly: boolean;
}

/** Statuses after which an HTTP/1.1 client reads no body (RFC 9112 6.3), whatever is sent. */
const BODILESS: ReadonlySet<string | undefined> = new Set(["204", "304"]);
/** Methods that decide, with the status, where a response ends. */
const FRAMING_METHODS: readonly string[] = ["HEAD", "CONNECT"];

/** How the message is framed that these headers, as they came, begin. */
export function framingOf(direction: Direction, headers: HttpHeaders): MessageFraming {
  const method = direction === "request" ? pseudoHeader(headers, ":method") : undefined;
  const status = direction === "response" ? pseudoHeader(headers, ":status") : undefined;
  return { method, status, isHeadersOnly: headers.endOfStream };
}

/**
 * Says why a change would leave a message with another end than its receiver takes it to have; undefined where it does
 * not. Envoy checks none of it: a 204 with a body, or the body of a GET that its client sent as HEAD, is read as the
 * beginning of the next response on the connection.
 *
 * @param exchange Tells how messages were framed when they came.
 */
export function refuseFramingChange(
  change: HeaderChange,
  phase: Phase,
  exchange: { framing(direction: Direction): MessageFraming | undefined },
): string | undefined {
  if (change.op === "remove") return undefined;
  if (change.name === ":status" && (phase === "responseHeaders" || phase === "responseBody")) {
    const status = bytesToText(change.value);
    // Where there is a piece of a body, there is a body, though it may be empty.
    const isBodiless = phase === "responseHeaders" && exchange.framing("response")?.isHeadersOnly === true;
    return BODILESS.has(status) && !isBodiless
      ? `status ${status} has no body, and this response has one; use immediateResponse(${status})`
      : undefined;
  }
  if (change.name === ":method" && phase === "requestBody") return "Envoy takes another method beside the headers only";
  if (change.name !== ":method" || phase !== "requestHeaders") return undefined;
  const from = exchange.framing("request")?.method;
  if (from === undefined) return "Envoy did not send :method, so nobody knows whether the client looks for a body";
  // Methods are case-sensitive, but not every upstream knows that.
  const to = bytesToText(change.value).toUpperCase();
  const framing = FRAMING_METHODS.find((method) => method === to || method === from);
  return framing === undefined || from === to
    ? undefined
    : `a request cannot become or cease to be ${framing}: its client would look for the end of the response elsewhere`;
}

/** True for a response that has no body whatever follows: to HEAD, 204, 304. */
export function hasNoBody(exchange: { framing(direction: Direction): MessageFraming | undefined }): boolean {
  return BODILESS.has(exchange.framing("response")?.status) || exchange.framing("request")?.method === "HEAD";
}

/**
 * Says why a body is a part of something larger, which nobody can change without the rest; undefined where it is none: a
 * response to `range`, or the piece of an upload that `content-range` places.
 */
export function isPartOfMore(
  direction: Direction,
  exchange: {
    framing(direction: Direction): MessageFraming | undefined;
    headers(direction: Direction): HttpHeaders | undefined;
  },
): string | undefined {
  if (exchange.framing(direction)?.status === "206") return "the response is a part of something larger (206)";
  const headers = direction === "request" ? exchange.headers(direction) : undefined;
  return headers && header(headers, "content-range") !== undefined
    ? "the request is a part of something larger (content-range)"
    : undefined;
}

/**
 * Says why headers cannot be those of a body that replaces another; undefined where they can. Framing goes by what came,
 * and by what handlers made of it.
 */
export function refuseReplacing(status: string | undefined): string | undefined {
  if (BODILESS.has(status)) return `a response with status ${status} has no body`;
  return status === "206" ? "a response with status 206 is a part of something larger" : undefined;
}

/**
 * True where a response without a body gets a status with one: its `content-length` is that of a body which does not
 * come, as a 304 may have it, and has to go.
 */
export function outlivesLength({ status }: MessageFraming, changes: readonly HeaderChange[]): boolean {
  return BODILESS.has(status) && changes.some(({ name }) => name === ":status");
}
