import type { HeaderValue } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { HttpHeaders, HttpTrailers } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Problem } from "../../text/problem.ts";
import { HeaderIndex, SEVERAL } from "../../wire/header-index.ts";
import { valueBytes, valueText } from "../../wire/header-text.ts";
import { headersOf } from "../../wire/lazy-headers.ts";
import { FaultError } from "../fault.ts";

/** The headers to search: entries, or Envoy's bytes if the entries were not needed so far. */
export type HeaderFields = HeaderIndex | readonly HeaderValue[];

const NO_ENTRIES: readonly HeaderValue[] = [];

/** Returns the headers or trailers of a message. */
export function headerFields(message: HttpHeaders | HttpTrailers): HeaderFields {
  const headers = headersOf(message);
  return headers instanceof HeaderIndex ? headers : (headers?.headers ?? NO_ENTRIES);
}

/** Returns the entries of a headers or trailers message, in the order in which Envoy sent them. */
export function headerEntries(message: HttpHeaders | HttpTrailers): readonly HeaderValue[] {
  const map = message.$typeName === "envoy.service.ext_proc.v3.HttpHeaders" ? message.headers : message.trailers;
  return map?.headers ?? NO_ENTRIES;
}

/**
 * Returns one header as text: its value, or several values joined with `, ` (RFC 9110 5.3; `cookie` with `; `, RFC 9113
 * 8.2.3). `set-cookie` is never joined: its first value is returned, and `Head.all` of the transaction has the rest.
 * Names are compared case-insensitively. Undefined if the header is absent. A byte that is not UTF-8 becomes a lone
 * surrogate, U+DC80 to U+DCFF, which header effects write as the same byte, so a copied value keeps its bytes.
 */
export function header(message: HttpHeaders | HttpTrailers, name: string): string | undefined {
  return joinedText(headerFields(message), name);
}

/** The same as {@link header} for header fields. */
export function joinedText(fields: HeaderFields, name: string): string | undefined {
  const wanted = name.toLowerCase();
  if (fields instanceof HeaderIndex) return fields.joined(wanted);
  let text: string | undefined;
  for (const entry of fields) {
    if (!hasName(entry, wanted)) continue;
    if (text === undefined) text = valueText(entry);
    else if (wanted === "set-cookie") break;
    else text += (wanted === "cookie" ? "; " : ", ") + valueText(entry);
  }
  return text;
}

/** Returns every value of a header as text, in order; an empty array if it is absent. */
export function allHeaders(fields: HeaderFields, name: string): readonly string[] {
  const wanted = name.toLowerCase();
  if (fields instanceof HeaderIndex) return fields.all(wanted);
  return fields.filter((entry) => hasName(entry, wanted)).map(valueText);
}

/**
 * Returns the only value of a header. Security decisions must use it, because two hops may disagree on which of several
 * values counts.
 *
 * @throws {FaultError} `header_ambiguous` if the header came more than once.
 */
export function oneHeader(fields: HeaderFields, name: string): string | undefined {
  const wanted = name.toLowerCase();
  const found = fields instanceof HeaderIndex ? fields.one(wanted) : oneText(fields, wanted);
  if (typeof found === "object") throw new FaultError("header_ambiguous", `header "${wanted}" ${found.problem}`);
  return found;
}

function oneText(entries: readonly HeaderValue[], wanted: string): string | Problem | undefined {
  let found: HeaderValue | undefined;
  for (const entry of entries) {
    if (!hasName(entry, wanted)) continue;
    if (found !== undefined) return SEVERAL;
    found = entry;
  }
  return found && valueText(found);
}

/** Returns the exact bytes of a header's first value; undefined if it is absent. */
export function headerBytes(fields: HeaderFields, name: string): Uint8Array | undefined {
  const wanted = name.toLowerCase();
  if (fields instanceof HeaderIndex) return fields.first(wanted);
  const found = fields.find((entry) => hasName(entry, wanted));
  return found && valueBytes(found);
}

/** True if a header is present, even with an empty value. `wanted` is lower-case. */
export function hasHeader(fields: HeaderFields, wanted: string): boolean {
  return fields instanceof HeaderIndex ? fields.has(wanted) : fields.some((entry) => hasName(entry, wanted));
}

/** Returns the value of a pseudo-header, which comes once and before all other headers; undefined if it is absent. */
export function pseudoHeader(fields: HeaderFields, name: `:${string}`): string | undefined {
  if (fields instanceof HeaderIndex) return fields.firstText(name);
  for (const entry of fields) if (hasName(entry, name)) return valueText(entry);
  return undefined;
}

/** True for the headers of a gRPC message, as Envoy recognizes it: by `content-type`. */
export function isGrpc(fields: HeaderFields): boolean {
  const type = joinedText(fields, "content-type");
  return type !== undefined && /^application\/grpc(?:$|[+; ])/i.test(type);
}

/** True if an entry has this lower-case name. */
export function hasName(entry: HeaderValue, lowerCaseName: string): boolean {
  // Envoy writes lower-case names. Other data planes and hand-written JSON may not.
  return entry.key === lowerCaseName || entry.key.toLowerCase() === lowerCaseName;
}
