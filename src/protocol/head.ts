import type { HttpHeaders } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { allHeaders, headerBytes, headerEntries, joinedText, oneHeader } from "./headers.ts";

/** The headers of one direction, as Envoy sent them. Names are compared case-insensitively. */
export interface Head {
  /** `:method` of a request; undefined on a response, or where Envoy's `forward_rules` hid it. */
  readonly method: string | undefined;
  /** `:path` of a request, with its query. */
  readonly path: string | undefined;
  /** `:authority` of a request. It is data of the client, not a checked host name. */
  readonly authority: string | undefined;
  /** `:status` of a response as a number; undefined on a request, or where it is none. */
  readonly status: number | undefined;
  /**
   * One value, or several joined with `, ` (`cookie` with `; `; of `set-cookie` the first). Text is UTF-8
   * where the bytes are valid UTF-8, else latin1.
   */
  get(name: string): string | undefined;
  /** Every value, in order. */
  all(name: string): readonly string[];
  /** The only value; where there are several, fault `header_ambiguous`. Security decisions use this one. */
  one(name: string): string | undefined;
  /** The exact bytes of the first value. */
  bytes(name: string): Uint8Array | undefined;
}

/** Reads a headers message as a {@link Head}; an absent message reads as a head without headers. */
export function headOf(message: HttpHeaders | undefined): Head {
  const entries = message ? headerEntries(message) : [];
  return {
    get method() {
      return joinedText(entries, ":method");
    },
    get path() {
      return joinedText(entries, ":path");
    },
    get authority() {
      return joinedText(entries, ":authority");
    },
    get status() {
      return statusNumber(joinedText(entries, ":status"));
    },
    get: (name) => joinedText(entries, name),
    all: (name) => allHeaders(entries, name),
    one: (name) => oneHeader(entries, name),
    bytes: (name) => headerBytes(entries, name),
  };
}

function statusNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{3}$/.test(text) ? Number(text) : undefined;
}
