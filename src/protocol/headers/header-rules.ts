import { textToBytes } from "../../wire/header-text.ts";
import { directionOf, type Phase } from "../phase.ts";
import {
  AUTHORITY_BYTES,
  firstForbidden,
  METHOD_BYTES,
  NAME_BYTES,
  PATH_BYTES,
  VALUE_BYTES,
} from "./allowed-characters.ts";
import { type HeaderChange, toHeaderMutation } from "./header-mutation.ts";
import type { HeaderLimits } from "./working-head.ts";

/**
 * Headers that define the framing of the message. Envoy checks none of them. A wrong `content-length` would make the
 * upstream read the rest of a body as a second request. So processors must not change them.
 */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
]);

const REQUEST_PSEUDO_HEADERS: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path"]);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const MAX_METHOD_BYTES = 64;
const SCHEMES: ReadonlySet<string> = new Set(["http", "https"]);
/** Envoy's default limit for all headers of a request together. No longer value can ever pass. */
const MAX_BYTES = 60 * 1024;
/** Envoy's default limit for the headers of a message, and for each of the two lists of a mutation. */
export const MAX_HEADERS = 100;

/** Envoy accepts one more. It is reserved for the `content-length` that the server may have to remove. */
const MAX_REMOVED = MAX_HEADERS - 1;

const REQUEST_LIMITS: HeaderLimits = { maxHeaders: MAX_HEADERS, maxBytes: MAX_BYTES };
const RESPONSE_LIMITS: HeaderLimits = { maxHeaders: MAX_HEADERS, maxBytes: 80 * 1024 };

/** Envoy's default limits for the headers after a mutation. Above them Envoy fails the transaction. */
export function headerLimits(phase: Phase): HeaderLimits {
  return directionOf(phase) === "request" ? REQUEST_LIMITS : RESPONSE_LIMITS;
}

/** Says which list of the mutation would be longer than Envoy accepts; undefined if both lists fit. */
export function refuseListLengths(changes: readonly HeaderChange[]): string | undefined {
  if (changes.length <= MAX_REMOVED) return undefined;
  const { setHeaders = [], removeHeaders = [] } = toHeaderMutation(changes) ?? {};
  if (removeHeaders.length > MAX_REMOVED)
    return `${removeHeaders.length} headers are removed, and ${MAX_REMOVED} can be`;
  return setHeaders.length > MAX_HEADERS
    ? `${setHeaders.length} values are set, and Envoy accepts ${MAX_HEADERS}`
    : undefined;
}

/**
 * Says why Envoy would reject or drop a header change, or break on it, with any configuration. Undefined if the change
 * is allowed, or if `mutation_rules` decide (`refuseByMutationRules`). The text names the header and the rule, never
 * the value.
 */
export function refuseHeaderChange(change: HeaderChange, phase: Phase): string | undefined {
  const { name } = change;
  if (name.startsWith(":")) return refusePseudoHeader(change, phase) ?? refuseValue(change);
  return refuseName(name) ?? (name === "host" ? refuseHost(change) : undefined) ?? refuseValue(change);
}

/** Says why a name is not allowed among the headers of an immediate response; undefined if it is allowed. */
export function refuseName(name: string): string | undefined {
  if (name === "") return "a header name is empty";
  if (!TOKEN.test(name)) {
    const forbidden = firstForbidden(textToBytes(name), NAME_BYTES)?.text;
    return `header name ${quoteName(name)} is not a lower-case token: ${forbidden} is not allowed in it (RFC 9110 5.1)`;
  }
  if (name.length > MAX_BYTES) return `a header name is longer than ${MAX_BYTES} bytes`;
  if (FRAMING_HEADERS.has(name))
    return `header "${name}" defines the framing of the message, so only the server sets it`;
  return undefined;
}

/** Says why bytes cannot be a header value: they have a control character other than a tab, or are too many. */
export function refuseValueBytes(name: string, value: Uint8Array): string | undefined {
  if (value.length > MAX_BYTES) return `value of header ${quoteName(name)} is longer than ${MAX_BYTES} bytes`;
  const forbidden = firstForbidden(value, VALUE_BYTES);
  return (
    forbidden && `value of header ${quoteName(name)} has a control character, which Envoy rejects: ${forbidden.text}`
  );
}

function refuseValue(change: HeaderChange): string | undefined {
  return change.op === "remove" ? undefined : refuseValueBytes(change.name, change.value);
}

function refuseHost(change: HeaderChange): string | undefined {
  if (change.op === "remove") return 'header "host" cannot be removed';
  if (change.op === "append") return 'header "host" has one value: set it instead of appending';
  return refuseAuthority('header "host"', change.value);
}

function refusePseudoHeader(change: HeaderChange, phase: Phase): string | undefined {
  const { name } = change;
  if (phase === "requestTrailers" || phase === "responseTrailers")
    return `trailers have no pseudo-header ${quoteName(name)}`;
  const known =
    phase === "responseHeaders" || phase === "responseBody" ? name === ":status" : REQUEST_PSEUDO_HEADERS.has(name);
  if (!known) return `${phase} has no pseudo-header ${quoteName(name)}`;
  if (change.op === "remove") return `pseudo-header "${name}" cannot be removed`;
  if (change.op === "append") return `pseudo-header "${name}" has one value: set it instead of appending`;
  if (name === ":path") return refusePath(change.value);
  if (name === ":authority") return refuseAuthority('pseudo-header ":authority"', change.value);
  if (name === ":scheme" && !SCHEMES.has(String.fromCharCode(...change.value.subarray(0, 8))))
    return 'pseudo-header ":scheme" must be http or https, in lower case';
  if (name === ":method") return refuseMethod(change.value);
  if (name === ":status" && !isFinalStatus(change.value))
    return 'pseudo-header ":status" must be a number from 200 to 999';
  return undefined;
}

function refusePath(value: Uint8Array): string | undefined {
  const rule = 'pseudo-header ":path" must begin with "/" or be "*"';
  const isAsterisk = value.length === 1 && value[0] === 0x2a;
  if (value[0] !== 0x2f && !isAsterisk) return `${rule}; an absolute URL goes to setPath() as its pathname and search`;
  const forbidden = firstForbidden(value, PATH_BYTES);
  if (forbidden === undefined) return undefined;
  const wayOut =
    forbidden.codePoint === 0x23
      ? 'leave out the fragment, or write "#" as "%23"'
      : "percent-encode the text first, for example by encodeURI()";
  return `pseudo-header ":path" cannot have ${forbidden.text}: ${wayOut}`;
}

function refuseMethod(value: Uint8Array): string | undefined {
  const rule = 'pseudo-header ":method" must be a token (RFC 9110 9.1)';
  if (value.length === 0 || value.length > MAX_METHOD_BYTES) return `${rule} of 1 to ${MAX_METHOD_BYTES} characters`;
  const forbidden = firstForbidden(value, METHOD_BYTES);
  return forbidden && `${rule} and cannot have ${forbidden.text}`;
}

function refuseAuthority(header: string, value: Uint8Array): string | undefined {
  if (value.length === 0) return `${header} must be a host, with a port if need be, and is empty`;
  const forbidden = firstForbidden(value, AUTHORITY_BYTES);
  if (forbidden === undefined) return undefined;
  const wayOut =
    forbidden.codePoint >= 0x80
      ? 'write the host as punycode: new URL("http://" + host).host'
      : "it must be a host, with a port if need be";
  return `${header} cannot have ${forbidden.text}, for which Envoy would drop the change: ${wayOut}`;
}

function isFinalStatus(value: Uint8Array): boolean {
  const [first = 0] = value;
  return value.length === 3 && first >= 0x32 && first <= 0x39 && value.every((byte) => byte >= 0x30 && byte <= 0x39);
}

/**
 * Writes a header name for a message, escaped and shortened, because a client may have chosen the name and the text
 * goes to a log line.
 */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
