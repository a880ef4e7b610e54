import { hasCoding } from "./engine.ts";

/**
 * A content coding that this library can decode and encode, by its registered name (RFC 9110 section 8.4.1, RFC 7932,
 * RFC 8878). `deflate` is read with and without zlib's wrapping, and always written with it.
 */
export type Coding = "gzip" | "deflate" | "br" | "zstd";

/**
 * What a message's `content-encoding` says.
 *
 * - `codings`: in the order in which they were applied; the last one is decoded first. None: the body is not encoded.
 * - `unsupported`: one of them is unknown here, or known and not in this release of Node. Its name is a token of at
 *   most 32 characters, or empty if it is not a token, so that it can be shown.
 * - `too_many`: more than {@link MAX_CODINGS}. No server does that, and each coding multiplies the effect of a bomb.
 */
export type ContentEncoding =
  | { readonly kind: "codings"; readonly codings: readonly Coding[] }
  | { readonly kind: "unsupported"; readonly coding: string }
  | { readonly kind: "too_many" };

/** How many codings may be stacked on one body. */
export const MAX_CODINGS = 4;

const KNOWN: Readonly<Record<string, Coding>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
  zstd: "zstd",
};
/** Longer names are not looked up: the longest registered one has 12 characters. */
const MAX_NAME_CHARACTERS = 32;
const NONE: ContentEncoding = { kind: "codings", codings: [] };

/**
 * Reads `content-encoding` (RFC 9110 section 8.4): a list without regard to case, white space and empty elements;
 * several header lines are one list. `identity` has no effect, `x-gzip` is `gzip`.
 *
 * @example
 * parseContentEncoding("GZIP, identity"); // { kind: "codings", codings: ["gzip"] }
 * parseContentEncoding(["deflate", "br"]); // { kind: "codings", codings: ["deflate", "br"] }
 * parseContentEncoding("aws-chunked"); // { kind: "unsupported", coding: "aws-chunked" }
 */
export function parseContentEncoding(value: string | readonly string[] | undefined): ContentEncoding {
  if (value === undefined || value.length === 0) return NONE;
  const codings: Coding[] = [];
  const list = typeof value === "string" ? value : value.join(",");
  for (const element of list.split(",")) {
    const trimmed = trimBlanks(element);
    if (trimmed.length > MAX_NAME_CHARACTERS) return { kind: "unsupported", coding: "" };
    const name = trimmed.toLowerCase();
    if (name === "" || name === "identity") continue;
    const coding = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    if (coding === undefined || !hasCoding(coding)) return { kind: "unsupported", coding: nameToShow(name) };
    if (codings.length === MAX_CODINGS) return { kind: "too_many" };
    codings.push(coding);
  }
  return { kind: "codings", codings };
}

/** The codings that this Node has; `zstd` came with 22.15 and 23.8. */
export function supportedCodings(): readonly Coding[] {
  return (["gzip", "deflate", "br", "zstd"] as const).filter(hasCoding);
}

/**
 * Text without the blanks of HTTP at both ends (RFC 9110 section 5.6.3). A RegExp for the blanks at the end would begin
 * again at each blank of a run in the middle.
 */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}

function nameToShow(name: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) ? name : "";
}
