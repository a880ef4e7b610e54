import { bytesToText } from "../../wire/header-text.ts";

/** The bytes that a text may contain: for each of the 256 bytes a 1 if it is allowed. */
export type AllowedBytes = Readonly<Uint8Array>;

function bytes(allows: (byte: number) => boolean): AllowedBytes {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allows(byte) ? 1 : 0));
}

const oneOf = (pattern: RegExp) => bytes((byte) => pattern.test(String.fromCharCode(byte)));

/** The bytes of a header value. Envoy fails the transaction for any other byte. */
export const VALUE_BYTES: AllowedBytes = bytes((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));
/**
 * The bytes of a path with its query. Envoy sends on any byte of a header value. A blank or a tab ends the request line
 * of an HTTP/1.1 upstream early, and fails the request to an HTTP/2 upstream. Upstreams, including Envoy, answer 400 to
 * "#" and to bytes beyond ASCII (RFC 9112 3.2, RFC 3986 3.3).
 */
export const PATH_BYTES: AllowedBytes = bytes((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);
/**
 * The bytes of a host with a port. Envoy drops a change to an authority with any other byte, and the request goes to
 * the old host.
 */
export const AUTHORITY_BYTES: AllowedBytes = oneOf(/^[\w!$%&'()*+,\-.:;=@[\]~]$/);
/**
 * The bytes of a method. Envoy sends on any byte of a header value, and an upstream would read another request line.
 */
export const METHOD_BYTES: AllowedBytes = oneOf(/^[!#$%&'*+\-.^_`|~\w]$/);
/** The bytes of a header name, in lower case. Envoy fails the transaction for any other byte. */
export const NAME_BYTES: AllowedBytes = oneOf(/^[!#$%&'*+\-.^_`|~0-9a-z]$/);

/**
 * Names the first character of a value that is not allowed, by its code point and its index in the text; undefined if
 * all characters are allowed. A value that is not UTF-8 has bytes instead of characters.
 */
export function firstForbidden(value: Uint8Array, allowed: AllowedBytes): ForbiddenCharacter | undefined {
  // A loop with an index, because an iterator takes three times as long and values are long.
  for (let at = 0; at < value.length; at++) {
    if (allowed[value[at] ?? 0] !== 1) return describe(value, at);
  }
  return undefined;
}

/** A character that is not allowed at its place. */
export interface ForbiddenCharacter {
  readonly codePoint: number;
  /** A text for a message, such as `character U+00E9 at index 1`. */
  readonly text: string;
}

function describe(value: Uint8Array, at: number): ForbiddenCharacter {
  const index = bytesToText(value.subarray(0, at)).length;
  const codePoint = bytesToText(value).codePointAt(index) ?? 0;
  // In the text, a byte that is not UTF-8 is a lone surrogate.
  const byte = codePoint >= 0xdc80 && codePoint <= 0xdcff ? codePoint - 0xdc00 : undefined;
  if (byte !== undefined) return { codePoint: byte, text: `byte 0x${byte.toString(16)} at index ${index}` };
  return {
    codePoint,
    text: `character U+${codePoint.toString(16).toUpperCase().padStart(4, "0")} at index ${index}`,
  };
}
