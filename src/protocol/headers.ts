import type { HeaderValue } from "../../gen/envoy/config/core/v3/base_pb.js";
import type { HttpHeaders, HttpTrailers } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { FaultError } from "./fault.ts";
import { valueBytes, valueText } from "./header-text.ts";

const NO_ENTRIES: readonly HeaderValue[] = [];

/** The entries of a headers or trailers message, in the order in which the peer sent them. */
export function headerEntries(message: HttpHeaders | HttpTrailers): readonly HeaderValue[] {
  const map = message.$typeName === "envoy.service.ext_proc.v3.HttpHeaders" ? message.headers : message.trailers;
  return map?.headers ?? NO_ENTRIES;
}

/**
 * One header as text: the value, or several values joined with `, ` (RFC 9110 5.3; `cookie` with `; `,
 * RFC 9113 8.2.3). `set-cookie` is never joined: its first value is given, `Head.all` of the transaction has the rest.
 * Names are compared case-insensitively; undefined where the header is absent.
 */
export function header(message: HttpHeaders | HttpTrailers, name: string): string | undefined {
  return joinedText(headerEntries(message), name);
}

/** {@link header} over bare entries. */
export function joinedText(entries: readonly HeaderValue[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  let text: string | undefined;
  for (const entry of entries) {
    if (!hasName(entry, wanted)) continue;
    if (text === undefined) text = valueText(entry);
    else if (wanted === "set-cookie") break;
    else text += (wanted === "cookie" ? "; " : ", ") + valueText(entry);
  }
  return text;
}

/** Every value of a header as text, in order; an empty array where it is absent. */
export function allHeaders(entries: readonly HeaderValue[], name: string): readonly string[] {
  const wanted = name.toLowerCase();
  return entries.filter((entry) => hasName(entry, wanted)).map(valueText);
}

/**
 * The only value of a header: what a security decision has to use, since two hops may disagree on which of
 * several values counts.
 *
 * @throws {FaultError} `header_ambiguous` where the header came more than once.
 */
export function oneHeader(entries: readonly HeaderValue[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  let found: HeaderValue | undefined;
  for (const entry of entries) {
    if (!hasName(entry, wanted)) continue;
    if (found !== undefined) throw new FaultError("header_ambiguous", `header "${wanted}" came more than once`);
    found = entry;
  }
  return found && valueText(found);
}

/** The exact bytes of a header's first value; undefined where it is absent. */
export function headerBytes(entries: readonly HeaderValue[], name: string): Uint8Array | undefined {
  const wanted = name.toLowerCase();
  const found = entries.find((entry) => hasName(entry, wanted));
  return found && valueBytes(found);
}

/** The value of a pseudo-header, which comes once and stands before all others; undefined where there is none. */
export function pseudoHeader(message: HttpHeaders, name: `:${string}`): string | undefined {
  for (const entry of headerEntries(message)) if (entry.key === name) return valueText(entry);
  return undefined;
}

/** True where an entry has this lower-case name. */
export function hasName(entry: HeaderValue, lowerCaseName: string): boolean {
  // Envoy writes lower-case names; other peers and hand-written JSON may not.
  return entry.key === lowerCaseName || entry.key.toLowerCase() === lowerCaseName;
}
