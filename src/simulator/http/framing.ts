import { textToBytes } from "../../wire/header-text.ts";
import type { HeaderEntry, HeaderMap } from "./header-map.ts";

const METHODS_WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** What decides where an HTTP message ends, in addition to its headers. */
export interface FramingOptions {
  readonly protocol: "http1" | "http2";
  /** True for the response to a HEAD request. Default: false. */
  readonly isToHead?: boolean;
}

/**
 * How a receiver finds the end of an HTTP message. Over HTTP/1 it is `content-length` if there is one, whatever Envoy
 * sends. Over HTTP/2 it is the end of the stream.
 */
export class Framing {
  /** The number of bytes that the receiver reads as the body; undefined if the HTTP message marks its end itself. */
  readonly announcedLength: number | undefined;
  readonly #endsItself: boolean;

  /**
   * Reads the headers that Envoy sends, and adds what Envoy's HTTP/1 codec adds. The codec adds nothing to a response
   * to HEAD.
   */
  constructor(headers: HeaderMap, endStream: boolean, { protocol, isToHead = false }: FramingOptions) {
    const isEmpty = endStream && mayHaveBody(headers) && !isToHead;
    if (protocol === "http1" && isEmpty && !headers.has("content-length"))
      headers.set("content-length", textToBytes("0"));
    const announced = Number(headers.get("content-length") ?? Number.NaN);
    if (protocol === "http1") this.announcedLength = isBodiless(headers) ? 0 : lengthOf(announced);
    // A server can set it on an HTTP message without a body. Then the receiver waits for chunks that never come.
    this.#endsItself = !(protocol === "http1" && endStream && headers.has("transfer-encoding"));
  }

  /** True if the receiver has got all announced bytes: it does not wait for the end. */
  isComplete(received: number): boolean {
    return this.announcedLength !== undefined && received >= this.announcedLength;
  }

  /** True if the receiver accepts the end of the HTTP message. If not, it waits for more bytes. */
  endsWith(received: number): boolean {
    if (this.announcedLength !== undefined) return received >= this.announcedLength;
    return this.#endsItself;
  }
}

/** True for responses that end with their headers, whatever else is sent. */
function isBodiless(headers: HeaderMap): boolean {
  return headers.kind === "response" && ["204", "304"].includes(headers.get(":status") ?? "");
}

function lengthOf(announced: number): number | undefined {
  return Number.isSafeInteger(announced) ? announced : undefined;
}

function mayHaveBody(headers: HeaderMap): boolean {
  if (headers.kind === "request") return METHODS_WITH_BODY.has(headers.get(":method") ?? "");
  return !isBodiless(headers);
}

const REQUEST_LINE: ReadonlySet<string> = new Set([":method", ":path", ":authority", ":scheme"]);

/**
 * Returns header lines as a receiver reads them. Over HTTP/1 a name that begins with a colon is written in the first
 * line or not at all, a response has no `host`, and blanks and tabs at both ends of a value are removed.
 */
export function asReceived(headers: HeaderMap, protocol: "http1" | "http2"): readonly HeaderEntry[] {
  if (protocol === "http2") return headers.entries;
  return headers.entries.filter(([name]) => isWritten(name, headers)).map(([name, value]) => [name, trimmed(value)]);
}

function isWritten(name: string, { kind }: HeaderMap): boolean {
  if (kind === "request") return !name.startsWith(":") || REQUEST_LINE.has(name);
  return name === ":status" || (name !== "host" && !name.startsWith(":"));
}

function trimmed(value: Uint8Array): Uint8Array {
  let start = 0;
  let end = value.length;
  while (start < end && isBlank(value[start])) start++;
  while (start < end && isBlank(value[end - 1])) end--;
  return value.subarray(start, end);
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}
