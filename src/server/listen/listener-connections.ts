import type { Socket } from "node:net";
import type { Protocol } from "./protocol-sniffer.ts";

/** Short names of the listeners, for metrics and logs. */
export type ListenerName = "main" | "status" | "admin";

/** Why a connection was closed, or a request of it refused, before any handler saw it. Stable names. */
export const CONNECTION_FAILURES = [
  // There is no room for it.
  "too_many_connections",
  "closed_to_make_room",
  "accept_failed",
  // It does not say what it speaks, or it speaks something else.
  "first_bytes_timeout",
  "tls_on_plaintext_port",
  "unknown_protocol",
  "plaintext_on_tls_port",
  "tls_handshake_timeout",
  "tls_handshake_failed",
  // A request that cannot be read.
  "headers_too_large",
  "http1_malformed",
  "http1_request_timeout",
] as const;

/** One of {@link CONNECTION_FAILURES}. */
export type ConnectionFailure = (typeof CONNECTION_FAILURES)[number];

/** What a connection speaks; `unknown` before it has said so, or if it never did. */
export const CONNECTION_PROTOCOLS = ["unknown", "http1", "http2"] as const;

type ConnectionProtocol = (typeof CONNECTION_PROTOCOLS)[number];

/** What the connections of one listener have done so far, as plain numbers. */
export interface ConnectionCounts {
  /** Most connections at a time. */
  readonly max: number;
  /** Now open. */
  readonly open: Readonly<Record<ConnectionProtocol, number>>;
  /** Connections that said what they speak, and, as `unknown`, connections that ended before. */
  readonly total: Readonly<Record<ConnectionProtocol, number>>;
  readonly failures: Readonly<Record<ConnectionFailure, number>>;
}

/** What is told of a failure, besides its reason. */
export interface ConnectionFailureDetails {
  /** The code of the system's or of OpenSSL's error. */
  readonly code?: string | undefined;
}

/** What {@link ListenerConnections} needs of its listener. */
export interface ListenerConnectionsOptions {
  /** Most connections at a time. */
  readonly max: number;
  /** The connection that can be closed with the least harm although it has said what it speaks; undefined if there is none. */
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
 * At the limit a connection that is not in use is closed for a new one: the oldest one that has not said what it speaks, or
 * else an idle one. Sockets that cost nothing to open must not lock Envoy out. If every connection is in use, the new one is
 * closed.
 */
export class ListenerConnections implements ConnectionCounts {
  readonly open = zeros(CONNECTION_PROTOCOLS);
  readonly total = zeros(CONNECTION_PROTOCOLS);
  readonly failures = zeros(CONNECTION_FAILURES);
  readonly #options: ListenerConnectionsOptions;
  readonly #bySocket = new Map<Socket, OpenConnection>();
  /** Connections that have not said what they speak, the oldest first. */
  readonly #unknown = new Set<OpenConnection>();
  #admitted = 0;

  constructor(options: ListenerConnectionsOptions) {
    this.#options = options;
  }

  get max(): number {
    return this.#options.max;
  }

  /** Takes in a new connection, or closes it and gives undefined. */
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

  /** The connection has said what it speaks. */
  began(connection: OpenConnection, protocol: Protocol): void {
    if (connection.isOver) return;
    connection.protocol = protocol;
    this.#unknown.delete(connection);
    this.open.unknown--;
    this.open[protocol]++;
    this.total[protocol]++;
  }

  /** The connection is not closed for another one, although it has not said what it speaks. */
  keep(connection: OpenConnection): void {
    this.#unknown.delete(connection);
  }

  /** Counts a failure that is told elsewhere. */
  count(reason: ConnectionFailure): void {
    this.failures[reason]++;
  }

  /** Counts and tells a failure. */
  failed(reason: ConnectionFailure, details: ConnectionFailureDetails = {}): void {
    this.count(reason);
    this.#options.onFailure?.(reason, details);
  }

  /** Closes the connections that have not said what they speak. */
  closeUnknown(): void {
    for (const { socket } of this.#unknown) socket.destroy();
  }

  /** The same, because the process needs the file descriptors. */
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
    // Not when "close" is emitted: the file descriptor is free now.
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

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
