import type { HttpHeaders } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type BodyMode, returnsBody } from "../body-mode.ts";
import { framingOf, type MessageFraming } from "../headers/framing-rules.ts";
import { HeaderIndex } from "../headers/header-index.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import { type HeaderFields, header, headerFields, isGrpc } from "../headers/headers.ts";
import { WorkingHead } from "../headers/working-head.ts";
import type { Direction, Phase, PhaseMessage } from "../phase.ts";

/** Order of the phases within a direction. */
export const RANK = { headers: 1, body: 2, trailers: 3 } as const;

/** The rank of a phase. No table: engines have no quick way to ask one with six names. */
export function rankOf(phase: Phase): number {
  switch (phase) {
    case "requestHeaders":
    case "responseHeaders":
      return RANK.headers;
    case "requestBody":
    case "responseBody":
      return RANK.body;
    default:
      return RANK.trailers;
  }
}

const NO_FIELDS: HeaderFields = [];

const UNSENT: Readonly<Record<Direction, { readonly headers: readonly Phase[]; readonly withBody: readonly Phase[] }>> =
  {
    request: { headers: ["requestHeaders"], withBody: ["requestHeaders", "requestBody"] },
    response: { headers: ["responseHeaders"], withBody: ["responseHeaders", "responseBody"] },
  };

/** What the exchange knows of one direction. */
export class DirectionState {
  /** Rank of the last phase seen; 0 before the first. */
  rank = 0;
  /** Rank of the last phase answered. */
  answeredRank = 0;
  /** The headers have their answer: it may be held back while pieces of the body have theirs. */
  hasAnsweredHeaders = false;
  /** Messages that wait for their answer. */
  owed = 0;
  ended = false;
  /** True while bytes of the body are with us that Envoy has no copy of, or that have begun to leave in another form. */
  withheld = false;
  /** True once the phases that Envoy skipped have been reported. */
  isSkipReported = false;
  /** True once the message that waits has had its timeout extended; Envoy grants one each. */
  extended = false;
  /** The mode that the stream began with. */
  configured: BodyMode | undefined;
  /** The mode in force. */
  mode: BodyMode | undefined;
  headers: HttpHeaders | undefined;
  #direction: Direction = "request";
  /** The headers as they came, apart from a message that a handler may write into. */
  #original: HeaderFields | undefined;
  #isHeadersOnly = false;
  #framing: MessageFraming | undefined;
  #working: WorkingHead | undefined;

  /** The headers with what was changed so far. */
  get fields(): HeaderFields {
    if (this.#working) return this.#working.fields;
    return this.headers ? headerFields(this.headers) : NO_FIELDS;
  }

  /** The head from here on: what it was, and changes that may still grow. */
  changeHead(changes: readonly HeaderChange[]): WorkingHead {
    this.#working = new WorkingHead(this.fields, changes);
    return this.#working;
  }

  /** No more message of this direction needs an answer. */
  end(): void {
    this.ended = true;
    this.withheld = false;
  }

  /** Takes the headers. */
  open(direction: Direction, headers: HttpHeaders): void {
    this.headers = headers;
    // In GRPC mode Envoy sends no body of another kind, and takes no pieces in its place.
    if (this.mode === "GRPC" && !isGrpc(headerFields(headers))) this.mode = "NONE";
    this.#direction = direction;
    this.#isHeadersOnly = headers.endOfStream;
    const fields = headerFields(headers);
    // An index never changes, and few ask how the message is framed.
    if (fields instanceof HeaderIndex) this.#original = fields;
    else this.#framing = framingOf(direction, fields, headers.endOfStream);
  }

  /** How the message is framed; undefined before its headers came. */
  get framing(): MessageFraming | undefined {
    if (this.#framing === undefined && this.#original !== undefined)
      this.#framing = framingOf(this.#direction, this.#original, this.#isHeadersOnly);
    return this.#framing;
  }

  /** Neither a body nor trailers follow the headers that came. */
  get isHeadersOnly(): boolean {
    return this.#isHeadersOnly;
  }

  /** Bytes of the body after the headers, by `content-length`; 0 if there is no body, undefined if unknown. */
  get bodyBytes(): number | undefined {
    return this.headers !== undefined && this.#isHeadersOnly ? 0 : this.declaredBytes;
  }

  /** What `content-length` says, in bytes, whether a body follows or not; undefined without a valid one. */
  get declaredBytes(): number | undefined {
    const text = this.headers && header(this.headers, "content-length");
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** True once Envoy has sent what it sends of this direction; trailers that are not sent can hide the end of a body. */
  get isSent(): boolean {
    return this.ended || (this.rank > 0 && this.mode === "NONE");
  }

  /** True while pieces of a body come that Envoy keeps no copy of. */
  get holdsBody(): boolean {
    return this.rank > 0 && !this.ended && returnsBody(this.mode);
  }

  /** True while the server may have bytes that Envoy has no copy of: an end with OK would lose them. */
  get isWithUs(): boolean {
    return this.holdsBody || this.withheld;
  }

  /** True while a held body has no end. In other modes trailers that are not sent can hide the end of a body. */
  get lacksEnd(): boolean {
    return this.withheld && this.mode === "FULL_DUPLEX_STREAMED";
  }

  /** True if a body has to come: the headers named its length, and nothing of it is there. */
  get awaitsBody(): boolean {
    const { bodyBytes } = this;
    return this.rank === RANK.headers && bodyBytes !== undefined && bodyBytes > 0;
  }

  /** The phases that Envoy sends nothing of, if it sent nothing of this direction; trailers are left out: few messages have any. */
  unsentPhases(direction: Direction): readonly Phase[] {
    return this.mode === "NONE" ? UNSENT[direction].withBody : UNSENT[direction].headers;
  }

  /** True if Envoy still holds the headers: it has no answer to them, or waits for the answer to a whole body. */
  get holdsHeaders(): boolean {
    if (this.rank === 0 || (this.headers !== undefined && !this.hasAnsweredHeaders)) return true;
    if (this.ended && this.rank === RANK.headers) return false;
    const buffered = this.mode === "BUFFERED" || this.mode === "BUFFERED_PARTIAL";
    return buffered && this.rank <= RANK.body && this.answeredRank < RANK.body;
  }
}

/** True for the message after which its direction has none. */
export function endsDirection(message: PhaseMessage): boolean {
  switch (message.case) {
    case "requestHeaders":
    case "responseHeaders":
      return message.value.endOfStream;
    case "requestBody":
    case "responseBody":
      return message.value.endOfStream || message.value.endOfStreamWithoutMessage;
    default:
      return true;
  }
}
