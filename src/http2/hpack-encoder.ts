import { isFieldName, isFieldValue } from "./header-field.ts";
import { STATIC_TABLE } from "./hpack-static-table.ts";

/** Header fields to send. Names are in lower case, values have one character for each byte (ISO 8859-1). */
export type FieldSection = Iterable<readonly [name: string, value: string]>;

/**
 * "The table has size 0" (RFC 7541 section 6.3): sent once, at the start of a block, to a client that has lowered
 * SETTINGS_HEADER_TABLE_SIZE.
 */
export const TABLE_SIZE_ZERO = 0x20;

/** Indices of RFC 7541 appendix A by name, the first of each, and by name and value. */
const BY_NAME = new Map<string, number>();
const BY_FIELD = new Map<string, number>();
for (const [at, { name, value }] of STATIC_TABLE.entries()) {
  if (!BY_NAME.has(name)) BY_NAME.set(name, at + 1);
  BY_FIELD.set(fieldKey(name, value), at + 1);
}

// Buffer would cut these characters to one byte, which could be a line break.
const BEYOND_LATIN1 = /[\u0100-\uffff]/;
const PSEUDO_HEADER = ":status";

/**
 * Encodes a header block without dynamic table and Huffman code. Its bytes mean the same on every connection, so a
 * constant block is encoded once and kept.
 *
 * @throws TypeError for names and values that HTTP/2 does not allow, such as line breaks.
 */
export function encodeHeaderBlock(fields: FieldSection): Uint8Array {
  const out: number[] = [];
  for (const [name, value] of fields) {
    checkField(name, value);
    const exact = BY_FIELD.get(fieldKey(name, value));
    if (exact !== undefined) {
      pushInteger(out, { pattern: 0x80, mask: 0x7f, value: exact });
      continue;
    }
    const nameIndex = BY_NAME.get(name) ?? 0;
    pushInteger(out, { pattern: 0x00, mask: 0x0f, value: nameIndex });
    if (nameIndex === 0) pushString(out, name);
    pushString(out, value);
  }
  return Uint8Array.from(out);
}

function fieldKey(name: string, value: string): string {
  return `${name}\n${value}`;
}

function checkField(name: string, value: string): void {
  if (name !== PSEUDO_HEADER && !isFieldName(name)) {
    throw new TypeError(`${JSON.stringify(name)} is not a header name in HTTP/2`);
  }
  if (!isFieldValue(value) || BEYOND_LATIN1.test(value)) {
    throw new TypeError(`${name}: ${JSON.stringify(value)} is not a header value`);
  }
}

/** Writes an integer (section 5.1). */
function pushInteger(out: number[], { pattern, mask, value }: { pattern: number; mask: number; value: number }): void {
  if (value < mask) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 128; rest >>>= 7) out.push((rest & 127) | 128);
  out.push(rest);
}

/** Writes a string (section 5.2), without Huffman code. */
function pushString(out: number[], text: string): void {
  pushInteger(out, { pattern: 0x00, mask: 0x7f, value: text.length });
  for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i));
}
