import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ExtProcCall, ExtProcPeer, PeerStream } from "./ext-proc-peer.ts";
import type { StreamMessage } from "./outcome.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** gRPC status codes that Envoy's client gives to ends without one. */
const UNKNOWN = 2;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** By gRPC's own mapping of HTTP statuses. */
const GRPC_CODE_OF_HTTP_STATUS: Readonly<Record<number, number>> = {
  400: INTERNAL,
  401: 16,
  403: 7,
  404: 12,
  429: UNAVAILABLE,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
};

/** What the filter hears from a stream. */
export interface StreamCallbacks {
  message(response: ProcessingResponse): void;
  /** The server ended the stream with OK. */
  closed(): void;
  /** It ended otherwise. */
  failed(code: number, message: string): void;
  /** The server sent something to a stream that Envoy is done with. */
  ignored(response: ProcessingResponse): void;
}

/**
 * The stream to the server, as Envoy's gRPC client has it. What either side says reaches the other a hop later, in
 * order, so that no side is ever called from within its own call.
 */
export class ExtProcStream {
  readonly messages: StreamMessage[] = [];
  readonly #clock: VirtualClock;
  readonly #callbacks: StreamCallbacks;
  readonly #call: ExtProcCall;
  #closed = false;
  #endedByServer = false;
  #serverSpoke = false;

  constructor(
    peer: { readonly peer: ExtProcPeer; readonly initialMetadata: Readonly<Record<string, string>> },
    clock: VirtualClock,
    callbacks: StreamCallbacks,
  ) {
    this.#clock = clock;
    this.#callbacks = callbacks;
    this.#call = peer.peer.open(this.#serverSide(), peer.initialMetadata);
  }

  /** True once neither side uses it any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get endedByServer(): boolean {
    return this.#endedByServer;
  }

  send(message: ProcessingRequest): void {
    if (this.#closed) return;
    this.messages.push({ from: "envoy", atMs: this.#clock.nowMs, message });
    this.#clock.soon(() => {
      if (!this.#closed) this.#call.message(message);
    });
  }

  /** Half-closes and resets. False where the stream was over already. */
  close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    this.#clock.soon(() => {
      this.#call.halfClose();
      this.#call.reset();
    });
    return true;
  }

  #serverSide(): PeerStream {
    return {
      responseHeaders: () => {
        this.#serverSpoke = true;
      },
      message: (response) => {
        this.#serverSpoke = true;
        this.#clock.soon(() => this.#receive(response));
      },
      end: (code, message = "") => this.#serverEnds(code, message),
      reset: () => this.#serverEnds(this.#serverSpoke ? INTERNAL : UNAVAILABLE, ""),
      httpStatus: (status) => this.#serverEnds(GRPC_CODE_OF_HTTP_STATUS[status] ?? UNKNOWN, ""),
      after: (delayMs, callback) => {
        this.#clock.after(delayMs, callback);
      },
    };
  }

  #receive(response: ProcessingResponse): void {
    if (this.#closed) {
      this.#callbacks.ignored(response);
      return;
    }
    this.messages.push({ from: "server", atMs: this.#clock.nowMs, message: response });
    this.#callbacks.message(response);
  }

  #serverEnds(code: number, message: string): void {
    this.#clock.soon(() => {
      if (this.#closed) return;
      this.#closed = true;
      this.#endedByServer = true;
      this.#clock.soon(() => this.#call.reset());
      if (code === 0) this.#callbacks.closed();
      else this.#callbacks.failed(code, message);
    });
  }
}
