import type { HttpHeaders } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { HeaderIndex } from "../../wire/header-index.ts";
import { type BodyMode, returnsBody } from "../body-mode.ts";
import { framingOf, type MessageFraming } from "../headers/framing-rules.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import { type HeaderFields, header, headerFields, isGrpc } from "../headers/headers.ts";
import { WorkingHead } from "../headers/working-head.ts";
import type { Direction, Phase, PhaseMessage } from "../phase.ts";

/** The order of the phases within a direction. */
export const RANK = { headers: 1, body: 2, trailers: 3 } as const;

/** Returns the rank of a phase. It is not a table, because engines have no fast lookup for six names. */
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

/** The state of one direction of an exchange. */
export class DirectionState {
  /** The rank of the last phase that came; 0 before the first one. */
  rank = 0;
  /** The rank of the last phase that was answered. */
  answeredRank = 0;
  /** True after the headers were answered. Their answer may be held back while pieces of the body are answered. */
  hasAnsweredHeaders = false;
  /** The number of messages that wait for an answer. */
  unanswered = 0;
  ended = false;
  /**
   * True while the server holds bytes of the body that Envoy has no copy of, or has sent some of them in another form.
   */
  withheld = false;
  /** True after the phases that Envoy skipped were reported. */
  isSkipReported = false;
  /** True after the timeout of the waiting message was extended. Envoy extends it once for each message. */
  extended = false;
  /** The mode at the start of the stream. */
  configured: BodyMode | undefined;
  /** The mode in force. */
  mode: BodyMode | undefined;
  headers: HttpHeaders | undefined;
  #direction: Direction = "request";
  /** The headers as they came. They are separate from the message, which a handler may change. */
  #original: HeaderFields | undefined;
  #isHeadersOnly = false;
  #framing: MessageFraming | undefined;
  #working: WorkingHead | undefined;

  /** The headers with the changes made so far. */
  get fields(): HeaderFields {
    if (this.#working) return this.#working.fields;
    return this.headers ? headerFields(this.headers) : NO_FIELDS;
  }

  /** Changes the headers. The list of changes may still grow. */
  changeHead(changes: readonly HeaderChange[]): WorkingHead {
    this.#working = new WorkingHead(this.fields, changes);
    return this.#working;
  }

  /** No later message of this direction needs an answer. */
  end(): void {
    this.ended = true;
    this.withheld = false;
  }

  /** Takes the headers of the direction. */
  open(direction: Direction, headers: HttpHeaders): void {
    this.headers = headers;
    // In GRPC mode Envoy sends no body of another kind, and accepts no pieces for it.
    if (this.mode === "GRPC" && !isGrpc(headerFields(headers))) this.mode = "NONE";
    this.#direction = direction;
    this.#isHeadersOnly = headers.endOfStream;
    const fields = headerFields(headers);
    // An index never changes, and its framing is seldom needed.
    if (fields instanceof HeaderIndex) this.#original = fields;
    else this.#framing = framingOf(direction, fields, headers.endOfStream);
  }

  /** The framing of the message; undefined before its headers came. */
  get framing(): MessageFraming | undefined {
    if (this.#framing === undefined && this.#original !== undefined)
      this.#framing = framingOf(this.#direction, this.#original, this.#isHeadersOnly);
    return this.#framing;
  }

  /** Neither a body nor trailers follow the headers. */
  get isHeadersOnly(): boolean {
    return this.#isHeadersOnly;
  }

  /** The length of the body, from `content-length`; 0 if there is no body, undefined if it is not known. */
  get bodyBytes(): number | undefined {
    return this.headers !== undefined && this.#isHeadersOnly ? 0 : this.declaredBytes;
  }

  /** The value of `content-length`, even if no body follows; undefined if it is missing or invalid. */
  get declaredBytes(): number | undefined {
    const text = this.headers && header(this.headers, "content-length");
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** True after Envoy has sent everything of this direction. Trailers that are not sent can hide the end of a body. */
  get isSent(): boolean {
    return this.ended || (this.rank > 0 && this.mode === "NONE");
  }

  /** True while pieces of a body come that Envoy keeps no copy of. */
  get holdsBody(): boolean {
    return this.rank > 0 && !this.ended && returnsBody(this.mode);
  }

  /** True while the server may hold bytes that Envoy has no copy of. Ending the stream with OK would lose them. */
  get isWithUs(): boolean {
    return this.holdsBody || this.withheld;
  }

  /**
   * True while the end of a held body has not come. In other modes trailers that are not sent can hide the end of a
   * body.
   */
  get lacksEnd(): boolean {
    return this.withheld && this.mode === "FULL_DUPLEX_STREAMED";
  }

  /** True if a body must come: the headers say its length, and nothing of it has come. */
  get awaitsBody(): boolean {
    const { bodyBytes } = this;
    return this.rank === RANK.headers && bodyBytes !== undefined && bodyBytes > 0;
  }

  /**
   * The phases that Envoy did not send, if it sent nothing of this direction. Trailers are left out, because few
   * messages have any.
   */
  unsentPhases(direction: Direction): readonly Phase[] {
    return this.mode === "NONE" ? UNSENT[direction].withBody : UNSENT[direction].headers;
  }

  /** True if Envoy still holds the headers: they have no answer, or Envoy waits for the answer to a whole body. */
  get holdsHeaders(): boolean {
    if (this.rank === 0 || (this.headers !== undefined && !this.hasAnsweredHeaders)) return true;
    if (this.ended && this.rank === RANK.headers) return false;
    const buffered = this.mode === "BUFFERED" || this.mode === "BUFFERED_PARTIAL";
    return buffered && this.rank <= RANK.body && this.answeredRank < RANK.body;
  }
}

/** True for the last message of its direction. */
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
