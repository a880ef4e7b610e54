import type { Socket } from "node:net";
import { zeroFor } from "../../http2/totals.ts";
import type { Protocol } from "./protocol-sniffer.ts";

/** Short names of the listeners, for metrics and logs. */
export type ListenerName = "main" | "status" | "admin";

/** Why a connection was closed, or a request rejected, before any handler saw it. The names are stable. */
export const CONNECTION_FAILURES = [
  // There are too many connections or too few file descriptors.
  "too_many_connections",
  "closed_to_make_room",
  "accept_failed",
  // The protocol is not known, or not served.
  "first_bytes_timeout",
  "tls_on_plaintext_port",
  "unknown_protocol",
  "plaintext_on_tls_port",
  "tls_handshake_timeout",
  "tls_handshake_failed",
  // A request that cannot be parsed.
  "headers_too_large",
  "http1_malformed",
  "http1_request_timeout",
] as const;

/** One of {@link CONNECTION_FAILURES}. */
export type ConnectionFailure = (typeof CONNECTION_FAILURES)[number];

/** The protocols of connections; `unknown` if a connection has not shown its protocol. */
export const CONNECTION_PROTOCOLS = ["unknown", "http1", "http2"] as const;

type ConnectionProtocol = (typeof CONNECTION_PROTOCOLS)[number];

/** Totals of the connections of one listener, as plain numbers. */
export interface ConnectionCounts {
  /** Most connections at a time. */
  readonly max: number;
  /** Connections that are open now. */
  readonly open: Readonly<Record<ConnectionProtocol, number>>;
  /** Connections by protocol; those that ended before they showed it are `unknown`. */
  readonly total: Readonly<Record<ConnectionProtocol, number>>;
  readonly failures: Readonly<Record<ConnectionFailure, number>>;
}

/** Details of a failure. */
export interface ConnectionFailureDetails {
  /** The code of the system's or of OpenSSL's error. */
  readonly code?: string | undefined;
}

/** Options of {@link ListenerConnections}. */
export interface ListenerConnectionsOptions {
  /** Most connections at a time. */
  readonly max: number;
  /** An idle connection that can be closed without harm, although its protocol is known; undefined if there is none. */
  readonly findIdle: () => OpenConnection | undefined;
  /** Called after each failure. */
  readonly onFailure?: ((reason: ConnectionFailure, details: ConnectionFailureDetails) => void) | undefined;
}

/** One open connection. */
export class OpenConnection {
  /** The TCP or Unix socket, below TLS. */
  readonly socket: Socket;
  /** Different for each connection of a listener. */
  readonly id: number;
  protocol: ConnectionProtocol = "unknown";
  isOver = false;

  constructor(socket: Socket, id: number) {
    this.socket = socket;
    this.id = id;
  }
}

/**
 * The connections of one listener: bounded and counted.
 *
 * At the limit, an unused connection is closed for a new one: the oldest one without a known protocol, or else an idle
 * one. An attacker that opens many sockets must not be able to lock Envoy out. If every connection is in use, the new
 * connection is closed.
 */
export class ListenerConnections implements ConnectionCounts {
  readonly open = zeroFor(CONNECTION_PROTOCOLS);
  readonly total = zeroFor(CONNECTION_PROTOCOLS);
  readonly failures = zeroFor(CONNECTION_FAILURES);
  readonly #options: ListenerConnectionsOptions;
  readonly #bySocket = new Map<Socket, OpenConnection>();
  /** Connections without a known protocol, the oldest first. */
  readonly #unknown = new Set<OpenConnection>();
  #admitted = 0;

  constructor(options: ListenerConnectionsOptions) {
    this.#options = options;
  }

  get max(): number {
    return this.#options.max;
  }

  /** Accepts a new connection, or closes it and returns undefined. */
  admit(socket: Socket): OpenConnection | undefined {
    if (this.#bySocket.size >= this.max && !this.#makeRoom()) {
      socket.destroy();
      this.failed("too_many_connections");
      return undefined;
    }
    const connection = new OpenConnection(socket, ++this.#admitted);
    this.#bySocket.set(socket, connection);
    this.#unknown.add(connection);
    this.open.unknown++;
    socket.once("close", () => this.#leave(connection));
    return connection;
  }

  /** The protocol of the connection is now known. */
  began(connection: OpenConnection, protocol: Protocol): void {
    if (connection.isOver) return;
    connection.protocol = protocol;
    this.#unknown.delete(connection);
    this.open.unknown--;
    this.open[protocol]++;
    this.total[protocol]++;
  }

  /** Protects a connection without a known protocol: it is not closed for another one. */
  keep(connection: OpenConnection): void {
    this.#unknown.delete(connection);
  }

  /** Counts a failure that is logged elsewhere. */
  count(reason: ConnectionFailure): void {
    this.failures[reason]++;
  }

  /** Counts a failure and reports it. */
  failed(reason: ConnectionFailure, details: ConnectionFailureDetails = {}): void {
    this.count(reason);
    this.#options.onFailure?.(reason, details);
  }

  /** Closes the connections without a known protocol. */
  closeUnknown(): void {
    for (const { socket } of this.#unknown) socket.destroy();
  }

  /** Closes the connections without a known protocol, because the process needs the file descriptors. */
  makeAllRoom(): void {
    for (const connection of [...this.#unknown]) this.#closeToMakeRoom(connection);
  }

  /** Closes every connection. */
  destroy(): void {
    for (const socket of this.#bySocket.keys()) socket.destroy();
  }

  #makeRoom(): boolean {
    const [silent] = this.#unknown;
    const connection = silent ?? this.#options.findIdle();
    if (connection === undefined) return false;
    this.#closeToMakeRoom(connection);
    return true;
  }

  #closeToMakeRoom(connection: OpenConnection): void {
    connection.socket.destroy();
    // This does not wait for "close", because the file descriptor is free now.
    this.#leave(connection);
    this.failed("closed_to_make_room");
  }

  #leave(connection: OpenConnection): void {
    if (connection.isOver) return;
    connection.isOver = true;
    this.#bySocket.delete(connection.socket);
    this.#unknown.delete(connection);
    this.open[connection.protocol]--;
    if (connection.protocol === "unknown") this.total.unknown++;
  }
}
