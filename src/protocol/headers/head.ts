import { allHeaders, type HeaderFields, headerBytes, joinedText, oneHeader } from "./headers.ts";

/** The headers of one direction, with the changes that processors made to them so far. Names are compared case-insensitively. */
export interface Head {
  /** `:method` of a request; undefined on a response, or where Envoy's `forward_rules` hid it. */
  readonly method: string | undefined;
  /** `:path` of a request, with its query. */
  readonly path: string | undefined;
  /** `:authority` of a request. It is data of the client, not a checked host name. */
  readonly authority: string | undefined;
  /** `:status` of a response as a number; undefined on a request, or if it is not a number. */
  readonly status: number | undefined;
  /**
   * One value, or several joined with `, ` (`cookie` with `; `; of `set-cookie` the first). Text is UTF-8. A byte that is
   * not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which header effects write as the same byte.
   */
  get(name: string): string | undefined;
  /** Every value, in order. */
  all(name: string): readonly string[];
  /**
   * The only value; if there are several, fault `header_ambiguous`. Security decisions use this one, and check the
   * value's form: Envoy itself joins several lines of some headers with a comma, `authorization` among them.
   */
  one(name: string): string | undefined;
  /** The exact bytes of the first value. */
  bytes(name: string): Uint8Array | undefined;
}

/**
 * A {@link Head} over header fields. They are asked for at every look, so that it shows what they are by then.
 *
 * @param fieldsOf Gives the fields; an empty array if there are no headers.
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
