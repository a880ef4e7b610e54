import { textToBytes } from "../../protocol/headers/header-text.ts";
import type { HeaderEntry, HeaderMap } from "./header-map.ts";

const METHODS_WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** What decides about the end of a message, in addition to its headers. */
export interface FramingOptions {
  readonly protocol: "http1" | "http2";
  /** A response whose request is HEAD. Default: false. */
  readonly isToHead?: boolean;
}

/**
 * How a receiver finds the end of a message. Over HTTP/1 that is `content-length` if there is one, whatever Envoy sends;
 * over HTTP/2 the end of the stream.
 */
export class Framing {
  /** Bytes that the receiver takes for the body; undefined if the message's own end says it. */
  readonly announcedLength: number | undefined;
  readonly #endsItself: boolean;

  /** Looks at headers as they leave Envoy, and adds what its HTTP/1 codec adds, which is nothing to a response to HEAD. */
  constructor(headers: HeaderMap, endStream: boolean, { protocol, isToHead = false }: FramingOptions) {
    const isEmpty = endStream && mayHaveBody(headers) && !isToHead;
    if (protocol === "http1" && isEmpty && !headers.has("content-length"))
      headers.set("content-length", textToBytes("0"));
    const announced = Number(headers.get("content-length") ?? Number.NaN);
    if (protocol === "http1") this.announcedLength = isBodiless(headers) ? 0 : lengthOf(announced);
    // A server may have set it on a message without a body: the receiver then waits for chunks that never come.
    this.#endsItself = !(protocol === "http1" && endStream && headers.has("transfer-encoding"));
  }

  /** The receiver has all that was announced, and does not wait for the end. */
  isComplete(received: number): boolean {
    return this.announcedLength !== undefined && received >= this.announcedLength;
  }

  /** Whether the end of the message is one to the receiver, which may be waiting for more. */
  endsWith(received: number): boolean {
    if (this.announcedLength !== undefined) return received >= this.announcedLength;
    return this.#endsItself;
  }
}

/** Responses that end with their headers, whatever else is sent. */
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
 * Header lines as a receiver reads them. Over HTTP/1 a name with a colon in front is written in the first line or not at all,
 * nor is a response's `host`, and blanks and tabs at both ends of a value mean nothing.
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
