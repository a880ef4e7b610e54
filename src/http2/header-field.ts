/**
 * What a field means to HTTP/2 itself. It is determined once for each field, so that an indexed field costs nothing.
 */
export type FieldKind =
  | "regular"
  | ":method"
  | ":scheme"
  | ":path"
  | ":authority"
  | "unknown pseudo-header"
  | "connection-specific"
  | "te"
  | "content-length";

const KINDS = new Map<string, FieldKind>([
  [":method", ":method"],
  [":scheme", ":scheme"],
  [":path", ":path"],
  [":authority", ":authority"],
  // RFC 9113 section 8.2.2
  ["connection", "connection-specific"],
  ["keep-alive", "connection-specific"],
  ["proxy-connection", "connection-specific"],
  ["transfer-encoding", "connection-specific"],
  ["upgrade", "connection-specific"],
  ["te", "te"],
  ["content-length", "content-length"],
]);

// RFC 9110 section 5.6.2 without capitals, which RFC 9113 section 8.2.1 forbids.
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const BREAK_OR_BLANK_AT_AN_END = /[\r\n]|^[ \t]|[ \t]$/;

/** The bytes of an entry of an HPACK table in addition to its two strings (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;

/** A decoded header field, with one character for each byte (ISO 8859-1), so that no byte is lost or replaced. */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  /** The size by the rule of RFC 7541 section 4.1. */
  readonly sizeBytes: number;
  readonly kind: FieldKind;
  /** True if name and value consist of what RFC 9113 section 8.2.1 allows. */
  readonly isValid: boolean;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.sizeBytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    const isPseudo = name.charCodeAt(0) === 0x3a;
    this.kind = KINDS.get(name) ?? (isPseudo ? "unknown pseudo-header" : "regular");
    this.isValid = (isPseudo || NAME.test(name)) && isFieldValue(value) && (name !== ":method" || METHOD.test(value));
  }
}

/** True for the name of a regular field that is allowed in HTTP/2 (RFC 9113 sections 8.2.1 and 8.2.2). */
export function isFieldName(name: string): boolean {
  return NAME.test(name) && KINDS.get(name) !== "connection-specific";
}

/** True for a value without NUL, CR and LF, and without a blank at either end (RFC 9113 section 8.2.1). */
export function isFieldValue(value: string): boolean {
  return !BREAK_OR_BLANK_AT_AN_END.test(value) && !value.includes("\0");
}
