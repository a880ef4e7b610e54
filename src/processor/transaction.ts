import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { MessageExchange } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import { type Head, headOf } from "../protocol/headers/head.ts";
import type { Modes } from "../protocol/mode-override.ts";
import { type CallHeaders, type GrpcMetadata, NO_CALL_HEADERS, readGrpcMetadata } from "./grpc-metadata.ts";

/**
 * Who opened a transaction: Envoy over gRPC (`envoy`) or over HTTP (`http_service`), a person through the debug service
 * (`debug`), or the simulated Envoy (`simulation`).
 */
export type Origin = "envoy" | "debug" | "simulation" | "http_service";

/** The other end of the transaction's connection: Envoy, not Envoy's client. */
export interface Peer {
  /** `10.0.0.7:41522`, `[::1]:41522`, or the empty string for a Unix socket. */
  readonly address: string;
}

/**
 * How a transaction ended.
 *
 * - `completed`: every message was answered. Envoy resets streams that it no longer needs; that is not a failure.
 * - `immediate_response`: a processor answered the client itself.
 * - `fault`: something failed, and the fault policy decided what happened to the transaction.
 * - `unanswered`: the stream ended while a message waited for an answer. Envoy stopped waiting, or its client left.
 * - `canceled`: the stream ended in the middle of a body that a handler held back, and no message waited for an answer:
 *   the client left.
 */
export type TransactionResult = "completed" | "immediate_response" | "fault" | "unanswered" | "canceled";

/** The argument of `done`. */
export interface TransactionEnd {
  /** How it ended. */
  readonly result: TransactionResult;
  /** Set if `result` is `fault`. */
  readonly fault?: Fault | undefined;
  /** From the first message to the end, in milliseconds. */
  readonly durationMs: number;
}

/**
 * One HTTP transaction, as a handler sees it. Everything is read lazily, so unread properties cost nothing.
 *
 * @typeParam S Type of the processor's state.
 * @typeParam C Type of the processor's configuration.
 */
export interface Transaction<S = unknown, C = unknown> {
  /** The processor's own value for this transaction. It may be changed, or replaced. */
  state: S;
  /** The route's configuration after validation by the processor's schema; undefined without a schema. */
  readonly config: C;
  /**
   * The request headers with the changes that processors made so far, including this one. They are empty if Envoy did
   * not send them (`request_header_mode: SKIP`). Reading them is then counted and logged as `request_headers_not_sent`.
   */
  readonly request: Head;
  /** The response headers with the changes that processors made so far; undefined until Envoy sends them. */
  readonly response: Head | undefined;
  /** The body modes in force, including an override of this transaction. */
  readonly modes: Modes;
  /** True if Envoy only sends copies (`observability_mode`) and ignores every effect. */
  readonly observability: boolean;
  /**
   * A CEL attribute, such as `source.address`, that the filter's `request_attributes` or `response_attributes` name.
   * Numbers are doubles. Undefined if Envoy did not send it.
   */
  attribute(name: string): JsonValue | undefined;
  /** Dynamic metadata of a namespace that the filter forwards; undefined if there is none. */
  metadata(namespace: string): JsonObject | undefined;
  /** Typed dynamic metadata of a namespace. Unpack it with `anyUnpack` of protobuf-es. */
  typedMetadata(namespace: string): Any | undefined;
  /** The metadata of the gRPC call that brought the transaction; empty for debug calls. */
  readonly grpcMetadata: GrpcMetadata;
  /** Who opened the transaction. */
  readonly origin: Origin;
  /** Who opened the connection; undefined if there is none, as in a simulation. */
  readonly peer: Peer | undefined;
  /** Aborted when the transaction is over or its stream is gone, so that unneeded work can stop. */
  readonly signal: AbortSignal;
}

/** The properties of a transaction besides its messages. */
export interface ScopeOptions {
  readonly origin: Origin;
  /** The headers of the gRPC call. Default: none. */
  readonly callHeaders?: CallHeaders | undefined;
  readonly peer?: Peer | undefined;
}

/** Receives a call if a handler read `tx.request` on a stream without request headers. A `SessionObserver` is one. */
export interface UnseenHeadObserver {
  unenforced?(reason: "request_headers_not_sent", wanted: string, origin: Origin): void;
}

/** What the parts of a composed processor share in one transaction: one exchange, its heads and one signal. */
export class TransactionScope {
  exchange: MessageExchange;
  #options: ScopeOptions;
  readonly #observer: UnseenHeadObserver | undefined;
  #grpcMetadata: GrpcMetadata | undefined;
  #request: Head | undefined;
  #response: Head | undefined;
  #abort: AbortController | undefined;
  #over = false;

  constructor(exchange: MessageExchange, options: ScopeOptions, observer?: UnseenHeadObserver) {
    this.exchange = exchange;
    this.#options = options;
    this.#observer = observer;
  }

  get origin(): Origin {
    return this.#options.origin;
  }

  get peer(): Peer | undefined {
    return this.#options.peer;
  }

  /** Returns the values of a header of the gRPC call. */
  metadataValues(name: string): readonly string[] {
    return this.#options.callHeaders?.all(name) ?? [];
  }

  get grpcMetadata(): GrpcMetadata {
    this.#grpcMetadata ??= readGrpcMetadata(this.#options.callHeaders ?? NO_CALL_HEADERS);
    return this.#grpcMetadata;
  }

  get request(): Head {
    this.#request ??= this.#requestHead();
    return this.#request;
  }

  /** Called once in a transaction, and only if a handler reads its request. */
  #requestHead(): Head {
    const isUnseen = this.exchange.headers("request") === undefined && this.exchange !== NOTHING_LEFT;
    if (isUnseen) this.#observer?.unenforced?.("request_headers_not_sent", "tx.request", this.origin);
    return headOf(() => this.exchange.headerFields("request"));
  }

  get response(): Head | undefined {
    if (this.exchange.headers("response") === undefined) return undefined;
    this.#response ??= headOf(() => this.exchange.headerFields("response"));
    return this.#response;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#over) this.#abort.abort();
    return this.#abort.signal;
  }

  /** True after the transaction is over: results of handlers are then ignored. */
  get over(): boolean {
    return this.#over;
  }

  /** Ends the transaction for handlers that still run. */
  end(): void {
    this.#over = true;
    this.#abort?.abort();
  }

  /** Drops messages and metadata after the end, because a handler that never settles would keep them in memory. */
  forget(): void {
    this.exchange = NOTHING_LEFT;
    this.#options = { origin: this.#options.origin, peer: this.#options.peer };
    this.#request = undefined;
    this.#response = undefined;
    this.#grpcMetadata = undefined;
  }
}

/** Replaces the exchange of every transaction that was forgotten. */
const NOTHING_LEFT = new MessageExchange();

/** The transaction object of one part of a composed processor: its own state, and what all parts share. */
export class ScopedTransaction<S, C = undefined> implements Transaction<S, C> {
  state: S;
  readonly config: C;
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope, state: S, config: C) {
    this.state = state;
    this.config = config;
    this.#scope = scope;
  }

  get request(): Head {
    return this.#scope.request;
  }

  get response(): Head | undefined {
    return this.#scope.response;
  }

  get modes(): Modes {
    return this.#scope.exchange.modes;
  }

  get observability(): boolean {
    return this.#scope.exchange.observabilityMode;
  }

  attribute(name: string): JsonValue | undefined {
    return this.#scope.exchange.attribute(name);
  }

  metadata(namespace: string): JsonObject | undefined {
    return this.#scope.exchange.metadata(namespace);
  }

  typedMetadata(namespace: string): Any | undefined {
    return this.#scope.exchange.typedMetadata(namespace);
  }

  get grpcMetadata(): GrpcMetadata {
    return this.#scope.grpcMetadata;
  }

  get origin(): Origin {
    return this.#scope.origin;
  }

  get peer(): Peer | undefined {
    return this.#scope.peer;
  }

  get signal(): AbortSignal {
    return this.#scope.signal;
  }
}
