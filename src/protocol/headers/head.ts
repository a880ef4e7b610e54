import { allHeaders, type HeaderFields, headerBytes, joinedText, oneHeader } from "./headers.ts";

/** The headers of one direction, with the changes that processors made to them so far. Names are compared case-insensitively. */
export interface Head {
  /** `:method` of a request; undefined on a response, or if Envoy's `forward_rules` hid it. */
  readonly method: string | undefined;
  /** `:path` of a request, with its query. */
  readonly path: string | undefined;
  /** `:authority` of a request. The client chooses it, so it is not a checked host name. */
  readonly authority: string | undefined;
  /** `:status` of a response as a number; undefined on a request, or if it is not a number. */
  readonly status: number | undefined;
  /**
   * One value, or several joined with `, ` (`cookie` with `; `; only the first `set-cookie`). Text is UTF-8. A byte
   * that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which header effects write as the same byte.
   */
  get(name: string): string | undefined;
  /** Every value, in order. */
  all(name: string): readonly string[];
  /**
   * The only value. Several values are a `header_ambiguous` fault. Security decisions must use this method and check
   * the form of the value: Envoy itself joins several lines of some headers with a comma, including `authorization`.
   */
  one(name: string): string | undefined;
  /** The exact bytes of the first value. */
  bytes(name: string): Uint8Array | undefined;
}

/**
 * Makes a {@link Head} over header fields. It asks for the fields at each read, so it always shows the current ones.
 *
 * @param fieldsOf Returns the fields; an empty array if there are no headers.
 */
export function headOf(fieldsOf: () => HeaderFields): Head {
  return {
    get method() {
      return joinedText(fieldsOf(), ":method");
    },
    get path() {
      return joinedText(fieldsOf(), ":path");
    },
    get authority() {
      return joinedText(fieldsOf(), ":authority");
    },
    get status() {
      return statusNumber(joinedText(fieldsOf(), ":status"));
    },
    get: (name) => joinedText(fieldsOf(), name),
    all: (name) => allHeaders(fieldsOf(), name),
    one: (name) => oneHeader(fieldsOf(), name),
    bytes: (name) => headerBytes(fieldsOf(), name),
  };
}

function statusNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{3}$/.test(text) ? Number(text) : undefined;
}
