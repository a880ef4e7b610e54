import type { Exchange } from "../protocol/exchange.ts";
import { type Head, headOf } from "../protocol/head.ts";
import { type GrpcMetadata, type MetadataValues, NO_METADATA, readGrpcMetadata } from "./grpc-metadata.ts";

/** Who asks: Envoy over gRPC, or a person through the debug service. */
export type Origin = "envoy" | "debug";

/**
 * One HTTP transaction, as a handler sees it. Everything is read lazily: what is not looked at costs nothing.
 *
 * @typeParam S Type of the processor's state.
 */
export interface Transaction<S = unknown> {
  /** The processor's own value for this transaction. It may be changed, or replaced. */
  state: S;
  /** The request headers as Envoy sent them; empty where it did not (`request_header_mode: SKIP`). */
  readonly request: Head;
  /** The response headers; undefined until Envoy sends them. */
  readonly response: Head | undefined;
  /** True where Envoy only watches: it ignores every effect. */
  readonly observabilityMode: boolean;
  /** What the gRPC call that brought the transaction says of itself; empty for debug calls. */
  readonly grpcMetadata: GrpcMetadata;
  readonly origin: Origin;
  /** Aborted when the transaction is over or the peer is gone, so that work for nobody can stop. */
  readonly signal: AbortSignal;
}

/** What the transactions of a composed processor share: one exchange, one set of heads, one signal. */
export class TransactionScope {
  readonly exchange: Exchange;
  readonly origin: Origin;
  readonly #metadataValues: MetadataValues;
  #grpcMetadata: GrpcMetadata | undefined;
  #request: Head | undefined;
  #response: Head | undefined;
  #abort: AbortController | undefined;
  #over = false;

  constructor(exchange: Exchange, origin: Origin, metadataValues: MetadataValues = NO_METADATA) {
    this.exchange = exchange;
    this.origin = origin;
    this.#metadataValues = metadataValues;
  }

  get grpcMetadata(): GrpcMetadata {
    this.#grpcMetadata ??= readGrpcMetadata(this.#metadataValues);
    return this.#grpcMetadata;
  }

  get request(): Head {
    if (this.#request) return this.#request;
    const headers = this.exchange.headers("request");
    const head = headOf(headers);
    // Until the headers are there a head is empty, and must not stay so.
    if (headers) this.#request = head;
    return head;
  }

  get response(): Head | undefined {
    const headers = this.exchange.headers("response");
    if (headers) this.#response ??= headOf(headers);
    return this.#response;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#over) this.#abort.abort();
    return this.#abort.signal;
  }

  /** True once the transaction is over: nothing that a handler returns counts any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Ends the transaction for handlers that still run. */
  end(): void {
    this.#over = true;
    this.#abort?.abort();
  }
}

/** A transaction with a state of its own over what all parts of a composed processor share. */
export class ScopedTransaction<S> implements Transaction<S> {
  state: S;
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope, state: S) {
    this.state = state;
    this.#scope = scope;
  }

  get request(): Head {
    return this.#scope.request;
  }

  get response(): Head | undefined {
    return this.#scope.response;
  }

  get observabilityMode(): boolean {
    return this.#scope.exchange.observabilityMode;
  }

  get grpcMetadata(): GrpcMetadata {
    return this.#scope.grpcMetadata;
  }

  get origin(): Origin {
    return this.#scope.origin;
  }

  get signal(): AbortSignal {
    return this.#scope.signal;
  }
}
