import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** An ext_proc server as the simulated Envoy meets it. */
export interface ExtProcServer {
  /**
   * Envoy opens a stream, at most one a transaction. `initialMetadata` has lower-case names. Answers go to `stream`, at
   * once or later; from within `open` too.
   */
  open(stream: ServerSide, initialMetadata: Readonly<Record<string, string>>): EnvoySide;
}

/** Envoy's half of an open stream. None of the methods may throw. */
export interface EnvoySide {
  /** Envoy sends a message. */
  message(request: ProcessingRequest): void;
  /** Envoy sends nothing more, and still reads. */
  halfClose(): void;
  /** Envoy is done with the stream, the normal end of nearly every one. Nothing is read any more. */
  reset(): void;
}

/** The server's half of an open stream. What comes after its end, or Envoy's reset, is ignored. */
export interface ServerSide {
  /** The server's HTTP/2 response headers leave by themselves: whether they did decides over a gRPC code. */
  responseHeaders(): void;
  /** The server sends a message, and its response headers before it if they have not left yet. */
  message(response: ProcessingResponse): void;
  /** The server ends the stream with a gRPC status; 0 is OK. */
  end(code: number, message?: string): void;
  /** The server's HTTP/2 stream is reset, or its connection is lost. */
  reset(): void;
  /** The server answers with a plain HTTP status instead of gRPC. */
  httpStatus(status: number): void;
  /** There is no server: the connection is refused. For `open`, before anything else. */
  unreachable(): void;
  /** Calls back in so many virtual milliseconds, while the transaction lasts. */
  after(delayMs: number, callback: () => void): void;
}
