import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { GrpcStatus } from "../../protocol/grpc-status.ts";
import { grpcStatusOfHttp } from "../http/http-to-grpc-status.ts";
import type { VirtualClock } from "../http/virtual-clock.ts";
import type { StreamEnd, StreamMessage } from "../report/report.ts";
import type { EnvoySide, ExtProcServer, ServerSide } from "./ext-proc-server.ts";

/** Envoy's texts for streams that end without a status. */
const RESET_AFTER_HEADERS = "upstream_reset_after_response_started{remote_reset}";
const RESET_BEFORE_HEADERS =
  "upstream connect error or disconnect/reset before headers. reset reason: remote reset{upstream_reset_before_response_started{remote_reset}}";
const CONNECTION_REFUSED =
  "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure{upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}}";

/** Events of a stream, for the filter. */
export interface StreamCallbacks {
  message(response: ProcessingResponse): void;
  /** The server ended the stream with OK. */
  closed(): void;
  /** The server ended the stream with another status, or it failed. */
  failed(code: number, message: string): void;
  /** The server sent something to a stream that Envoy no longer reads. */
  ignored(response: ProcessingResponse): void;
}

interface SentMessage {
  readonly message: ProcessingRequest;
  overtaken: boolean;
}

/**
 * The stream to the server, as Envoy's gRPC client has it. What one side sends reaches the other side later, in order.
 * So no side is called while it calls the other.
 */
export class ExtProcStream {
  readonly messages: StreamMessage[] = [];
  readonly #clock: VirtualClock;
  readonly #callbacks: StreamCallbacks;
  readonly #call: EnvoySide;
  readonly #unflushed: SentMessage[] = [];
  #closed = false;
  #serverIsGone = false;
  #receiving = false;
  #closedByAnswer = false;
  #resetArrived = false;
  #end: StreamEnd = "reset";
  #serverSpoke = false;

  constructor(
    target: { readonly server: ExtProcServer; readonly initialMetadata: Readonly<Record<string, string>> },
    clock: VirtualClock,
    callbacks: StreamCallbacks,
  ) {
    this.#clock = clock;
    this.#callbacks = callbacks;
    this.#call = target.server.open(this.#serverSide(), target.initialMetadata);
  }

  /** True after both sides have ended it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How Envoy ended its half of the stream. */
  get end(): StreamEnd {
    return this.#end;
  }

  send(message: ProcessingRequest): void {
    if (this.#closed) return;
    const sent: SentMessage = { message, overtaken: false };
    if (this.#receiving) this.#unflushed.push(sent);
    this.#clock.soon(() => {
      if (sent.overtaken || this.#serverIsGone) return;
      this.messages.push({ from: "envoy", atMs: this.#clock.nowMs, message });
      this.#call.message(message);
    });
  }

  /**
   * Ends the stream on Envoy's side: a half-close and a reset. If Envoy does so because of a message of the server,
   * only the reset is sent: a connection that is being read sends later, and the reset overtakes everything before it
   * in the same turn. Returns false if the stream was already over.
   */
  close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    const halfCloses = !this.#receiving;
    this.#closedByAnswer = this.#receiving;
    for (const sent of this.#unflushed) sent.overtaken = true;
    this.#end = halfCloses ? "half_close_and_reset" : "reset";
    this.#clock.soon(() => {
      this.#resetArrived = true;
      if (halfCloses) this.#call.halfClose();
      this.#call.reset();
    });
    return true;
  }

  #serverSide(): ServerSide {
    return {
      responseHeaders: () => {
        this.#serverSpoke = true;
      },
      message: (response) => {
        this.#serverSpoke = true;
        this.#clock.soon(() => this.#receive(response));
      },
      end: (code, message = "") => this.#serverEnds(code, message === "" ? "via_upstream" : `${message}{via_upstream}`),
      reset: () => {
        this.#serverIsGone = true;
        if (this.#serverSpoke) this.#serverEnds(GrpcStatus.INTERNAL, RESET_AFTER_HEADERS);
        else this.#serverEnds(GrpcStatus.UNAVAILABLE, RESET_BEFORE_HEADERS);
      },
      httpStatus: (status) => this.#serverEnds(grpcStatusOfHttp(status), "via_upstream"),
      unreachable: () => {
        this.#end = "none";
        this.#serverIsGone = true;
        this.#serverEnds(GrpcStatus.UNAVAILABLE, CONNECTION_REFUSED);
      },
      after: (delayMs, callback) => {
        this.#clock.after(delayMs, callback);
      },
    };
  }

  #receive(response: ProcessingResponse): void {
    if (this.#closed) {
      // An answer can be on its way when Envoy ends the stream for another reason.
      if (this.#closedByAnswer || this.#resetArrived) this.#callbacks.ignored(response);
      return;
    }
    this.messages.push({ from: "server", atMs: this.#clock.nowMs, message: response });
    this.#receiving = true;
    this.#callbacks.message(response);
    this.#receiving = false;
    this.#unflushed.length = 0;
  }

  #serverEnds(code: number, message: string): void {
    this.#clock.soon(() => {
      if (this.#closed) return;
      this.#closed = true;
      this.#clock.soon(() => this.#call.reset());
      if (code === 0) this.#callbacks.closed();
      else this.#callbacks.failed(code, message);
    });
  }
}
