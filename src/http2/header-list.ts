import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM } from "./error-codes.ts";
import type { HeaderField } from "./header-field.ts";

const CONTENT_LENGTH = /^[0-9]{1,15}$/;

/** Bits of the pseudo-header fields seen so far. */
const METHOD = 1;
const SCHEME = 2;
const PATH = 4;
const AUTHORITY = 8;

/**
 * A decoded header list, or trailers, already checked by the rules of RFC 9113 sections 8.2 and 8.3. It does not change
 * after it was passed on. Streams that open with the same bytes share one list.
 */
export class HeaderList {
  /**
   * The fields in the order in which they came, pseudo-header fields first. A `cookie` can be split into several fields
   * (section 8.2.3).
   */
  readonly fields: readonly HeaderField[];
  /** The pseudo-header fields; "" if a field is absent. `:authority` can be any text. */
  readonly method: string;
  readonly scheme: string;
  readonly path: string;
  readonly authority: string;
  /** The value of the content-length field; -1 without such a field. */
  readonly contentLength: number;
  /** Why these are not valid headers of a request; "" if they are valid. */
  readonly requestFault: string;
  /** Why these are not valid trailers of a request; "" if they are valid. */
  readonly trailerFault: string;
  /** True if the list is longer than maxHeaderListBytes. Then `fields` end at the field that made it too long. */
  readonly isTooLarge: boolean;
  /** Size of the whole list by the rule of RFC 7541 section 4.1, including fields that were dropped. */
  readonly sizeBytes: number;

  constructor(builder: HeaderListBuilder) {
    this.fields = builder.fields;
    this.method = builder.method;
    this.scheme = builder.scheme;
    this.path = builder.path;
    this.authority = builder.authority;
    this.contentLength = builder.contentLength;
    this.requestFault = builder.requestFault === "" ? missingPseudoHeader(builder) : builder.requestFault;
    this.trailerFault = builder.trailerFault;
    this.isTooLarge = builder.isTooLarge;
    this.sizeBytes = builder.sizeBytes;
  }

  /** Every value of a field, in order, by its name in lower case. */
  all(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map(({ value }) => value);
  }

  /** The first value of a field, by its name in lower case. */
  get(name: string): string | undefined {
    for (const field of this.fields) if (field.name === name) return field.value;
    return undefined;
  }
}

/** Gathers the fields of one block. */
export class HeaderListBuilder {
  readonly fields: HeaderField[] = [];
  method = "";
  scheme = "";
  path = "";
  authority = "";
  contentLength = -1;
  requestFault = "";
  trailerFault = "";
  sizeBytes = 0;
  isTooLarge = false;
  seen = 0;
  readonly #maxBytes: number;
  readonly #maxExpansionBytes: number;
  #expansionBytes = 0;
  #sawRegular = false;

  /** The limits `maxHeaderListBytes` and `maxHeaderExpansionBytes`. */
  constructor(maxBytes: number, maxExpansionBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxExpansionBytes = maxExpansionBytes;
  }

  /** True if a field with this many bytes still fits the list. */
  hasRoomFor(bytes: number): boolean {
    return !this.isTooLarge && this.sizeBytes + bytes <= this.#maxBytes;
  }

  /**
   * Counts the bytes of a field that its representation did not carry.
   *
   * @throws ConnectionError for a block that expands too much, such as an HPACK bomb.
   */
  expand(bytes: number): void {
    this.#expansionBytes += bytes;
    if (this.#expansionBytes <= this.#maxExpansionBytes) return;
    const message = `a header block that expands by over ${this.#maxExpansionBytes} bytes`;
    throw new ConnectionError(ENHANCE_YOUR_CALM, "hpack_bomb", message);
  }

  /** Counts a field that was not decoded, because the list is too large with it. */
  addDropped(sizeBytes: number): void {
    this.sizeBytes += sizeBytes;
    this.isTooLarge = true;
  }

  add(field: HeaderField): void {
    this.sizeBytes += field.sizeBytes;
    if (this.sizeBytes > this.#maxBytes) {
      this.isTooLarge = true;
      return;
    }
    this.fields.push(field);
    if (!field.isValid) this.#bothFaulty(`invalid field ${JSON.stringify(field.name)}`);
    if (field.name.charCodeAt(0) === 0x3a) {
      this.#addPseudoHeader(field);
      return;
    }
    this.#sawRegular = true;
    if (field.kind !== "regular") this.#addSpecial(field);
  }

  /** RFC 9113 section 8.2.2, and section 8.1.1 for the content length. */
  #addSpecial(field: HeaderField): void {
    if (field.kind === "connection-specific") {
      this.#bothFaulty(`connection-specific field ${field.name}`);
    } else if (field.kind === "te") {
      if (field.value !== "trailers") this.requestFault = "te other than trailers";
    } else if (field.kind === "content-length") {
      const length = CONTENT_LENGTH.test(field.value) ? Number(field.value) : -1;
      if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) {
        this.requestFault = "invalid content-length";
      }
      this.contentLength = length;
    }
  }

  /** RFC 9113 section 8.3. */
  #addPseudoHeader(field: HeaderField): void {
    this.trailerFault = "pseudo-header field in trailers";
    if (this.#sawRegular) this.requestFault = "pseudo-header field after a regular one";
    switch (field.kind) {
      case ":method":
        this.#see(METHOD, field);
        this.method = field.value;
        break;
      case ":scheme":
        this.#see(SCHEME, field);
        this.scheme = field.value;
        break;
      case ":path":
        this.#see(PATH, field);
        this.path = field.value;
        break;
      case ":authority":
        this.#see(AUTHORITY, field);
        this.authority = field.value;
        break;
      default:
        this.requestFault = `unknown pseudo-header field ${JSON.stringify(field.name)}`;
    }
  }

  #see(bit: number, field: HeaderField): void {
    if ((this.seen & bit) !== 0) this.requestFault = `repeated ${field.name}`;
    this.seen |= bit;
  }

  #bothFaulty(fault: string): void {
    this.requestFault = fault;
    this.trailerFault = fault;
  }
}

/** RFC 9113 section 8.3.1, and section 8.5 for CONNECT. */
function missingPseudoHeader(list: HeaderListBuilder): string {
  if (list.method === "") return "no :method";
  if (list.method === "CONNECT") {
    if (list.authority === "") return "CONNECT without :authority";
    return (list.seen & (SCHEME | PATH)) === 0 ? "" : "CONNECT with :scheme or :path";
  }
  if (list.scheme === "") return "no :scheme";
  if (list.path === "") return "no :path";
  const isPath = list.path.charCodeAt(0) === 0x2f || (list.path === "*" && list.method === "OPTIONS");
  return isPath ? "" : ":path is neither absolute nor the * of OPTIONS";
}
