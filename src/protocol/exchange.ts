import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Metadata } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  type HttpHeaders,
  type ProcessingRequest,
  type ProcessingResponse,
  ProcessingResponseSchema,
  type ProtocolConfiguration,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type BodyMode, configuredBodyMode, returnsBody } from "./body-mode.ts";
import { ENVOY_DEFAULTS, type EnvoyDeclaration } from "./envoy-declaration.ts";
import { type Fault, fault } from "./fault.ts";
import { type HeaderChange, toHeaderMutation } from "./header-mutation.ts";
import { neutralAnswer, neutralBodyAnswers } from "./neutral-answer.ts";
import { type Direction, directionOf, type Phase, type PhaseMessage } from "./phase.ts";
import { timeoutExtension } from "./timeout-extension.ts";

/** What a message means to the exchange. */
export type Accepted =
  /** The message opens a phase: run its handlers, then call {@link Exchange.answer}, once and in order. */
  | { readonly kind: "message"; readonly message: PhaseMessage }
  /** No answer is owed, and none may be given. */
  | { readonly kind: "ignored"; readonly reason: "unset" | "ended" | "answered_immediately" }
  /** The peer broke the protocol; the stream cannot go on. */
  | Fault;

/** What is said about one message. */
export type Answer =
  | { readonly kind: "continue"; readonly headerChanges: readonly HeaderChange[] }
  /** Ends the transaction. `response` holds an `immediateResponse`. */
  | { readonly kind: "immediate"; readonly response: ProcessingResponse };

/** The answer that lets a message pass as it is. */
export const CONTINUE: Answer = { kind: "continue", headerChanges: [] };

const NOTHING: readonly ProcessingResponse[] = [];

/** Order of the phases within a direction. */
const RANK: Readonly<Record<Phase, number>> = {
  requestHeaders: 1,
  requestBody: 2,
  requestTrailers: 3,
  responseHeaders: 1,
  responseBody: 2,
  responseTrailers: 3,
};

interface DirectionState {
  /** Rank of the last phase seen; 0 before the first. */
  rank: number;
  /** Rank of the last phase answered. */
  answered: number;
  ended: boolean;
  mode: BodyMode | undefined;
  headers: HttpHeaders | undefined;
  attributes: ProcessingRequest["attributes"] | undefined;
}

/** What an exchange goes by. */
export interface ExchangeOptions {
  /** Default: Envoy's own defaults. */
  readonly declaration?: EnvoyDeclaration | undefined;
}

/**
 * One HTTP transaction as Envoy tells it: the only place that writes ProcessingResponses. Every message that is
 * owed an answer gets exactly one, of the member that matches it; only in FULL_DUPLEX_STREAMED and GRPC may a
 * piece of a body get several. It does no I/O, knows no time and runs no handler.
 */
export class Exchange {
  /** What the operator says of Envoy's side. */
  readonly declaration: EnvoyDeclaration;
  /** Messages accepted and not answered yet. While it is above zero, ending the stream with OK loses the answer. */
  owed = 0;

  #first = true;
  #answeredImmediately = false;
  #observed = false;
  #metadata: Metadata | undefined;
  readonly #directions: Record<Direction, DirectionState> = { request: openDirection(), response: openDirection() };

  constructor({ declaration = ENVOY_DEFAULTS }: ExchangeOptions = {}) {
    this.declaration = declaration;
  }

  /** True where Envoy only watches (`observability_mode`): it ignores answers, so none is written. */
  get observabilityMode(): boolean {
    return this.#observed;
  }

  /** The body mode in force; undefined where the peer did not tell. */
  bodyMode(direction: Direction): BodyMode | undefined {
    return this.#directions[direction].mode;
  }

  /** The headers of a direction, once Envoy sent them. */
  headers(direction: Direction): HttpHeaders | undefined {
    return this.#directions[direction].headers;
  }

  /**
   * An attribute that Envoy sent with either direction. It sends each once, with the direction's first message; where
   * both directions have it, the response's value is the later one.
   */
  attribute(name: string): JsonValue | undefined {
    return findAttribute(this.#directions.response, name) ?? findAttribute(this.#directions.request, name);
  }

  /** Dynamic metadata as the latest message had it; Envoy sends all of it with every message. */
  metadata(namespace: string): JsonObject | undefined {
    return ownValue(this.#metadata?.filterMetadata, namespace);
  }

  /** Typed dynamic metadata, likewise. */
  typedMetadata(namespace: string): Any | undefined {
    return ownValue(this.#metadata?.typedFilterMetadata, namespace);
  }

  /** Takes the peer's next message. */
  accept(message: ProcessingRequest): Accepted {
    if (this.#first) this.#open(message.protocolConfig);
    if (message.observabilityMode) {
      this.#observed = true;
      // Nothing is answered from here on, not even what came before.
      this.owed = 0;
    }
    const { request } = message;
    if (request.case === undefined) return { kind: "ignored", reason: "unset" };
    if (this.#answeredImmediately) return { kind: "ignored", reason: "answered_immediately" };
    const state = this.#directions[directionOf(request.case)];
    // Envoy may repeat the end of a body; whatever follows an end is owed nothing.
    if (state.ended) return { kind: "ignored", reason: "ended" };
    const rank = RANK[request.case];
    if (rank < state.rank || (rank === state.rank && rank !== RANK.requestBody)) {
      return fault("phase_out_of_order", `the peer sent ${request.case} when that phase of its direction was over`);
    }
    state.rank = rank;
    state.ended = endsDirection(request);
    if (request.case === "requestHeaders" || request.case === "responseHeaders") state.headers = request.value;
    for (const _key in message.attributes) {
      state.attributes = message.attributes;
      break;
    }
    if (message.metadataContext) this.#metadata = message.metadataContext;
    if (!this.#observed) this.owed++;
    return { kind: "message", message: request };
  }

  /**
   * The messages that say `answer` to `message`, in the order in which they have to leave. Within a direction
   * call it in the order of {@link accept}. Nothing in observability mode, and nothing after an immediate response.
   */
  answer(message: PhaseMessage, answer: Answer): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately) return NOTHING;
    if (answer.kind === "immediate") return this.answerImmediately(answer.response);
    this.owed--;
    this.#directions[directionOf(message.case)].answered = RANK[message.case];
    if (message.case === "requestBody" || message.case === "responseBody") {
      return neutralBodyAnswers(message.case, message.value, this.bodyMode(directionOf(message.case)));
    }
    const headerMutation = toHeaderMutation(answer.headerChanges);
    if (headerMutation === undefined) return neutralAnswer(message.case);
    if (message.case === "requestTrailers" || message.case === "responseTrailers") {
      return [create(ProcessingResponseSchema, { response: { case: message.case, value: { headerMutation } } })];
    }
    return [
      create(ProcessingResponseSchema, { response: { case: message.case, value: { response: { headerMutation } } } }),
    ];
  }

  /** Ends the transaction with an immediate response, whatever is owed. Nothing in observability mode, or after another. */
  answerImmediately(response: ProcessingResponse): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately) return NOTHING;
    this.#answeredImmediately = true;
    this.owed = 0;
    return [response];
  }

  /**
   * Asks Envoy for more time for its awaited answer. Nothing in observability mode, after an immediate response, and in
   * FULL_DUPLEX_STREAMED and GRPC: Envoy runs no timer then.
   */
  extendTimeout(direction: Direction, grantMs: number): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately || returnsBody(this.bodyMode(direction))) return NOTHING;
    return [timeoutExtension(grantMs)];
  }

  /**
   * True while Envoy makes of an immediate response what it says. Once response headers left for the client it can only
   * reset that; while it buffers the response's body it holds them.
   */
  get takesImmediateResponse(): boolean {
    const { answered, ended, rank, mode } = this.#directions.response;
    if (this.#observed || this.#answeredImmediately || this.declaration.disableImmediateResponse) return false;
    if (answered === 0) return true;
    const awaitsBody = answered === RANK.responseHeaders && !(ended && rank === answered);
    return awaitsBody && (mode === "BUFFERED" || mode === "BUFFERED_PARTIAL");
  }

  /** True while Envoy may have handed over pieces of a body that it has no copy of: an end with OK would lose them. */
  get holdsBody(): boolean {
    const holds = ({ rank, ended, mode }: DirectionState) => rank > 0 && !ended && returnsBody(mode);
    return holds(this.#directions.request) || holds(this.#directions.response);
  }

  #open(config: ProtocolConfiguration | undefined): void {
    this.#first = false;
    this.#directions.request.mode = configuredBodyMode(config, "request");
    this.#directions.response.mode = configuredBodyMode(config, "response");
  }
}

function openDirection(): DirectionState {
  return { rank: 0, answered: 0, ended: false, mode: undefined, headers: undefined, attributes: undefined };
}

/** Envoy has one group, `envoy.filters.http.ext_proc`; an extension of its own may name others. */
function findAttribute({ attributes }: DirectionState, name: string): JsonValue | undefined {
  for (const group in attributes) {
    const value = ownValue(attributes[group], name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** A name may come from a processor's own input, and `constructor` is no attribute. */
function ownValue<T>(values: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}

function endsDirection(message: PhaseMessage): boolean {
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
