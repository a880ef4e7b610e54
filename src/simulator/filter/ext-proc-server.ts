import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** The ext_proc server that the simulated Envoy calls. */
export interface ExtProcServer {
  /**
   * Envoy opens a stream, at most one for each transaction. The names in `initialMetadata` are in lower case. Answers
   * go to `stream`, at once or later, also while `open` runs.
   */
  open(stream: ServerSide, initialMetadata: Readonly<Record<string, string>>): EnvoySide;
}

/** Envoy's half of an open stream. The methods must not throw. */
export interface EnvoySide {
  /** Envoy sends a message. */
  message(request: ProcessingRequest): void;
  /** Envoy sends nothing more, and still reads. */
  halfClose(): void;
  /** Envoy no longer needs the stream, the normal end of nearly every stream. Envoy reads nothing any more. */
  reset(): void;
}

/** The server's half of an open stream. Calls after its end, or after Envoy's reset, are ignored. */
export interface ServerSide {
  /**
   * The server sends its HTTP/2 response headers without a message. The gRPC code of a later reset depends on whether
   * it did.
   */
  responseHeaders(): void;
  /** The server sends a message, and before it the response headers if they have not been sent yet. */
  message(response: ProcessingResponse): void;
  /** The server ends the stream with a gRPC status; 0 is OK. */
  end(code: number, message?: string): void;
  /** The server's HTTP/2 stream is reset, or its connection is lost. */
  reset(): void;
  /** The server answers with a plain HTTP status instead of gRPC. */
  httpStatus(status: number): void;
  /** There is no server: the connection is refused. Only for `open`, before any other call. */
  unreachable(): void;
  /** Calls back after this many virtual milliseconds, while the transaction runs. */
  after(delayMs: number, callback: () => void): void;
}
