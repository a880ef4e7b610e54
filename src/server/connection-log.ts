import { GrpcStatus } from "../grpc/status.ts";
import type { ConnectionEnd } from "../http2/connection.ts";
import type { EndReason } from "../http2/end-reason.ts";
import { errorCodeName } from "../http2/error-codes.ts";
import { LineLimiters } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";

/** Ends of a connection that happen every day and tell nothing. */
const ORDINARY: ReadonlySet<EndReason> = new Set<EndReason>([
  "closed_by_peer",
  "closed_by_application",
  "drained",
  "socket_error",
]);

const HEADER_LIST_FLAG = "--http2-max-header-list-bytes";

/** The status that a gRPC client reads in the answer 431, with the setting to change. */
export function headersTooLargeStatus(maxBytes: number): readonly (readonly [string, string])[] {
  const message = `headers of the stream exceed ${HEADER_LIST_FLAG} (${maxBytes})`;
  return [
    ["grpc-status", String(GrpcStatus.RESOURCE_EXHAUSTED)],
    ["grpc-message", message],
  ];
}

/** What connections tell the log. */
export interface ConnectionLog {
  onConnectionEnd(end: ConnectionEnd): void;
  /** A stream was refused: its headers have `sizeBytes`, and `maxBytes` are allowed. */
  onHeadersTooLarge(sizeBytes: number, maxBytes: number): void;
  /** A stream was refused: its headers break a rule of HTTP/2. */
  onMalformedRequest(fault: string): void;
  onHandlerError(error: unknown): void;
  onTlsError(error: Error): void;
}

/**
 * Logs connections that ended because their peer was slow, flooded us or broke the protocol, and streams that were refused:
 * at most ten lines a second of each reason.
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
      const what = `A stream was refused: its headers have ${sizeBytes} bytes, and ${HEADER_LIST_FLAG} allows ${maxBytes}`;
      if (line) log.warn({ sizeBytes, maxBytes, ...line }, `${what}. Raise it, or send less in initial_metadata`);
    },
    onMalformedRequest(fault) {
      const line = limiters.next("malformed headers");
      // A fault may name a field, and its length is up to the peer.
      if (line) log.warn({ ...line }, `A stream was refused: its headers are malformed: ${fault.slice(0, 200)}`);
    },
    onHandlerError(error) {
      const line = limiters.next("handler error");
      const name = error instanceof Error ? error.name : typeof error;
      if (line) log.error({ error: name, ...line }, "A stream failed inside the server");
    },
    onTlsError(error) {
      const { code } = error as NodeJS.ErrnoException;
      // A peer that goes away without a word, as every TCP health check does.
      const line = code === "ECONNRESET" ? undefined : limiters.next("TLS");
      if (line) log.warn({ code, ...line }, "TLS handshake failed");
    },
  };
}
