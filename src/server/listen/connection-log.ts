import type { ConnectionEnd } from "../../http2/connection.ts";
import type { EndReason, ShedReason } from "../../http2/end-reason.ts";
import { errorCodeName } from "../../http2/error-codes.ts";
import { GrpcStatus } from "../../protocol/grpc-status.ts";
import { LineLimiters } from "../log/line-limiter.ts";
import type { Logger } from "../log/logger.ts";
import type { ConnectionFailure, ConnectionFailureDetails, ListenerName } from "./listener-connections.ts";

/** Normal reasons for the end of a connection, which are not logged. */
const ORDINARY: ReadonlySet<EndReason> = new Set<EndReason>([
  "closed_by_peer",
  "closed_by_application",
  "drained",
  "socket_error",
]);

const HEADER_LIST_FLAG = "--http2-max-header-list-bytes";

/** The gRPC status in the answer 431, with the setting to change. */
export function headersTooLargeStatus(maxBytes: number): readonly (readonly [string, string])[] {
  const message = `the headers of the stream exceed ${HEADER_LIST_FLAG} (${maxBytes})`;
  return [
    ["grpc-status", String(GrpcStatus.RESOURCE_EXHAUSTED)],
    ["grpc-message", message],
  ];
}

/** The events of connections that are logged. */
export interface ConnectionLog {
  onConnectionEnd(end: ConnectionEnd): void;
  /** A stream was rejected: its headers have `sizeBytes`, and `maxBytes` are allowed. */
  onHeadersTooLarge(sizeBytes: number, maxBytes: number): void;
  /** A stream was rejected: its headers break a rule of HTTP/2. */
  onMalformedRequest(fault: string): void;
  /** A stream was reset to free memory. */
  onStreamShed(reason: ShedReason): void;
  onHandlerError(error: unknown): void;
  onConnectionFailure(failure: LoggedFailure): void;
  /** The process has no free file descriptor. */
  onNoDescriptor(code: string): void;
}

/** A connection of one listener that failed before a handler saw a request. */
export interface LoggedFailure extends ConnectionFailureDetails {
  readonly listener: ListenerName;
  readonly maxConnections: number;
  readonly reason: ConnectionFailure;
}

/** The log text for each reason. */
const SHED_TEXTS: Readonly<Record<ShedReason, string>> = {
  answer_memory: "its answers wait to be sent, and another answer would exceed --max-held-answer-bytes",
  answer_stalled: "its answers wait to be sent, and the client read none of them for --http2-answer-stall-timeout-ms",
  message_stalled: "the client sent a part of a message, and nothing more for --http2-message-stall-timeout-ms",
};

const CONNECTIONS_FLAG = "--max-connections";

/** The log text for each failure. */
const FAILURE_TEXTS: Readonly<Record<ConnectionFailure, string>> = {
  too_many_connections: "A new connection was closed: every connection of this listener is in use",
  closed_to_make_room: "A silent or idle connection was closed to make room for another",
  accept_failed: "A connection could not be accepted",
  first_bytes_timeout: "A connection was closed: it did not show its protocol in time",
  tls_on_plaintext_port: "A connection was closed: it began with TLS, and this listener does not use TLS",
  unknown_protocol: "A connection was closed: it began with neither HTTP/2 nor HTTP/1.1",
  plaintext_on_tls_port: "A connection was closed: it did not begin with TLS, and this listener uses TLS",
  tls_handshake_timeout: "A connection was closed: its TLS handshake took too long",
  tls_handshake_failed: "A connection was closed: its TLS handshake failed",
  headers_too_large: "An HTTP/1.1 request was rejected with 431: its headers are too large",
  http1_malformed: "An HTTP/1.1 request was rejected: it is malformed",
  http1_request_timeout: "An HTTP/1.1 request was rejected with 408: it took too long to arrive",
};

/**
 * Logs connections that ended because their client was slow, flooded the server or broke the protocol, and streams that
 * were rejected: at most 10 lines a second for each reason.
 */
export function connectionLog(log: Logger): ConnectionLog {
  const limiters = new LineLimiters();
  return {
    onConnectionEnd({ reason, code, message }) {
      const line = ORDINARY.has(reason) ? undefined : limiters.next(reason);
      if (line) log.warn({ reason, http2Code: errorCodeName(code), ...line }, `HTTP/2 connection ended: ${message}`);
    },
    onHeadersTooLarge(sizeBytes, maxBytes) {
      const line = limiters.next("headers too large");
      const what = `A stream was rejected: its headers have ${sizeBytes} bytes, and ${HEADER_LIST_FLAG} allows ${maxBytes}`;
      if (line) log.warn({ sizeBytes, maxBytes, ...line }, `${what}. Raise it, or send less in initial_metadata`);
    },
    onMalformedRequest(fault) {
      const line = limiters.next("malformed headers");
      // The text can name a header, and the client decides how long that name is.
      if (line) log.warn({ ...line }, `A stream was rejected: its headers are malformed: ${fault.slice(0, 200)}`);
    },
    onStreamShed(reason) {
      const line = limiters.next(reason);
      if (line) log.warn({ reason, ...line }, `A stream was reset to free memory: ${SHED_TEXTS[reason]}`);
    },
    onHandlerError(error) {
      const line = limiters.next("handler error");
      const name = error instanceof Error ? error.name : typeof error;
      if (line) log.error({ error: name, ...line }, "A stream failed inside the server");
    },
    onConnectionFailure({ listener, maxConnections, reason, code }) {
      const line = limiters.next(`${listener} ${reason}`);
      if (line === undefined) return;
      const isFull = reason === "too_many_connections" || reason === "closed_to_make_room";
      const limit = isFull ? { maxConnections } : {};
      const hint = isFull && listener === "main" ? `; ${CONNECTIONS_FLAG} is ${maxConnections}` : "";
      log.warn({ listener, reason, code, ...limit, ...line }, FAILURE_TEXTS[reason] + hint);
    },
    onNoDescriptor(code) {
      const line = limiters.next("no descriptor");
      const what = "The process has no free file descriptor: new connections are closed, and files cannot be opened";
      if (line) log.error({ code, ...line }, `${what}. Raise the limit of open files (ulimit -n)`);
    },
  };
}
