import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from "node:tls";
import { getHeapStatistics } from "node:v8";
import { Http2Connections, type Http2ConnectionsOptions } from "../../http2/connections.ts";
import { type Http2LimitsInit, resolveHttp2Limits } from "../../http2/limits.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { headersTooLargeStatus } from "./connection-log.ts";
import { Http1Server } from "./http1-server.ts";
import type { ListenAddress } from "./listen-address.ts";
import {
  type ConnectionCounts,
  type ConnectionFailure,
  type ConnectionFailureDetails,
  ListenerConnections,
  type OpenConnection,
} from "./listener-connections.ts";
import { type Protocol, sniffProtocol } from "./protocol-sniffer.ts";
import { listenOnSocketFile, type SocketFile } from "./unix-socket.ts";

export interface ListenerOptions
  extends Pick<
    Http2ConnectionsOptions,
    "memory" | "onConnectionEnd" | "onMalformedRequest" | "onStreamShed" | "onHandlerError"
  > {
  readonly address: Exclude<ListenAddress, { readonly kind: "off" }>;
  readonly endpoint: Endpoint;
  /** Certificate and key, if the listener uses TLS. */
  readonly tls?: TlsOptions | undefined;
  /** Limits of its connections that differ from the defaults. */
  readonly limits?: Http2LimitsInit | undefined;
  /** Called for each stream that was rejected because its headers are too large. */
  readonly onHeadersTooLarge?: ((sizeBytes: number, maxBytes: number) => void) | undefined;
  /** Most connections at a time. */
  readonly maxConnections: number;
  /** Called for each connection that failed before a handler saw a request. */
  readonly onConnectionFailure?: ((reason: ConnectionFailure, details: ConnectionFailureDetails) => void) | undefined;
}

/** Timeout of a TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The memory that a handler that hangs keeps: its transaction with headers of ordinary size. Measured: 5.5 KiB. */
const HELD_STREAM_BYTES = 6 * 1024;
/** The share of the heap that such handlers can use before their streams count as concurrent streams. */
const HELD_HEAP_SHARE = 1 / 4;

/** OpenSSL's error codes for first bytes that are not TLS. */
const NOT_TLS: ReadonlySet<string | undefined> = new Set([
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_HTTPS_PROXY_REQUEST",
  "ERR_SSL_WRONG_VERSION_NUMBER",
]);

/**
 * Listens on one address. It serves HTTP/2 (with prior knowledge, or negotiated by TLS) and HTTP/1.1, and recognizes
 * the protocol from the first bytes of a connection. No other code uses listening sockets.
 */
export class Listener {
  /** Its HTTP/2 connections, with their totals. */
  readonly http2: Http2Connections;
  /** Its HTTP/1.1 connections, with their totals. */
  readonly http1: Http1Server;
  readonly #options: ListenerOptions;
  readonly #tcp: TcpServer;
  /** Turns accepted connections into TLS connections. It does not listen itself. */
  readonly #tls: TlsServer | undefined;
  readonly #connections: ListenerConnections;
  #socketFile: SocketFile | undefined;
  /** Connections in their TLS handshake, by the address of the client. */
  readonly #handshakes = new Map<string, OpenConnection>();
  /** The connections with a known protocol, by the socket with that protocol. */
  readonly #served = new WeakMap<Duplex, OpenConnection>();

  constructor(options: ListenerOptions) {
    const { endpoint, tls, onConnectionEnd, onHeadersTooLarge, onMalformedRequest, onHandlerError } = options;
    const { memory, onStreamShed } = options;
    this.#options = options;
    this.#connections = new ListenerConnections({
      max: options.maxConnections,
      findIdle: () => this.#idleConnection(),
      onFailure: options.onConnectionFailure,
    });
    this.http1 = new Http1Server(endpoint.http1, {
      memory,
      onFailure: (reason) => this.#connections.failed(reason),
    });
    const limits = resolveHttp2Limits({ uncountedHolds: uncountedHolds(), ...options.limits });
    const { maxHeaderListBytes } = limits;
    this.http2 = new Http2Connections({
      accept: endpoint.http2,
      limits,
      memory,
      tooLargeFields: headersTooLargeStatus(maxHeaderListBytes),
      onHeadersTooLarge: (sizeBytes) => {
        this.#connections.count("headers_too_large");
        onHeadersTooLarge?.(sizeBytes, maxHeaderListBytes);
      },
      onMalformedRequest,
      onStreamShed,
      onConnectionEnd,
      onHandlerError,
    });
    // Half-open, because a client can end its side after the request and wait for the answer. With TLS not from the
    // start, because a client that ends its side in the middle of the handshake waits for nothing.
    this.#tcp = createTcpServer({ allowHalfOpen: tls === undefined }, (socket) => this.#accept(socket));
    this.#tls = tls && this.#tlsServer(tls);
  }

  /** Its connections, counted. */
  get connections(): ConnectionCounts {
    return this.#connections;
  }

  /** Closes the connections without a known protocol, because the process needs the file descriptors. */
  makeRoom(): void {
    this.#connections.makeAllRoom();
  }

  /**
   * Starts to listen. Resolves to the address with the actual port.
   *
   * @throws An error with `code`, such as `EADDRINUSE`, if the address cannot be used.
   */
  async listen(): Promise<ListenAddress> {
    const { address } = this.#options;
    if (address.kind === "unix") {
      this.#socketFile = await listenOnSocketFile(address.path, (path) => this.#bind({ path }));
    } else {
      await this.#bind({ port: address.port, ...(address.host && { host: address.host }) });
    }
    // A later failure is about one connection. Too few file descriptors do not appear here: see DescriptorWatch.
    this.#tcp.on("error", ({ code }: NodeJS.ErrnoException) => this.#connections.failed("accept_failed", { code }));
    if (address.kind === "unix") return address;
    return { kind: "tcp", host: address.host, port: (this.#tcp.address() as AddressInfo).port };
  }

  #bind(target: { readonly path: string } | { readonly port: number; readonly host?: string }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tcp.once("error", reject);
      this.#tcp.listen(target, () => {
        this.#tcp.off("error", reject);
        resolve();
      });
    });
  }

  /** Accepts no new connections and streams. Resolves when the running ones are done. */
  async drain(): Promise<void> {
    this.#socketFile?.remove();
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    this.#connections.closeUnknown();
    this.http1.drain();
    await Promise.all([closed, this.http2.drain()]);
  }

  /** Ends every connection at once. */
  destroy(): void {
    this.#socketFile?.remove();
    this.#tcp.close();
    this.http1.drain();
    this.http2.destroy();
    this.#connections.destroy();
  }

  #tlsServer(tls: TlsOptions): TlsServer {
    const options = { ...tls, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ALPNProtocols: ["h2", "http/1.1"] };
    const server = createTlsServer(options, (socket) => this.#acceptTls(socket));
    server.on("tlsClientError", ({ code }: NodeJS.ErrnoException, socket: TLSSocket) => {
      socket.destroy();
      // A client that disconnects without sending anything, as every TCP health check does.
      if (code !== "ECONNRESET") this.#connections.failed(tlsFailure(code), { code });
    });
    return server;
  }

  #accept(socket: Socket): void {
    const connection = this.#connections.admit(socket);
    if (connection === undefined) return;
    endOnError(socket);
    if (this.#tls === undefined) this.#sniff(socket, connection);
    else this.#beginHandshake(socket, connection, this.#tls);
  }

  /**
   * Starts a TLS handshake. Node does not tell which socket a TLS socket belongs to, but both have the same client
   * address.
   */
  #beginHandshake(socket: Socket, connection: OpenConnection, tls: TlsServer): void {
    const client = clientOf(socket);
    // Clients of a Unix socket have no address. Each is counted as a separate client, and none is closed for another.
    if (client === undefined) this.#connections.keep(connection);
    const key = client ?? `unix ${connection.id}`;
    this.#handshakes.set(key, connection);
    socket.once("close", () => {
      if (this.#handshakes.get(key) === connection) this.#handshakes.delete(key);
    });
    tls.emit("connection", socket);
  }

  #acceptTls(socket: TLSSocket): void {
    const [first = ""] = this.#handshakes.keys();
    const key = clientOf(socket) ?? first;
    const connection = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    endOnError(socket);
    // The connection was closed meanwhile.
    if (connection === undefined || connection.isOver) {
      socket.destroy();
      return;
    }
    socket.allowHalfOpen = true;
    if (socket.alpnProtocol === "h2") this.#serve(socket, connection, "http2");
    else this.#sniff(socket, connection);
  }

  #sniff(socket: Socket, connection: OpenConnection): void {
    sniffProtocol(socket, {
      found: (protocol) => this.#serve(socket, connection, protocol),
      failed: (reason) => {
        // TLS inside TLS is an unknown protocol.
        const isPlain = this.#tls === undefined;
        this.#connections.failed(reason === "tls_on_plaintext_port" && !isPlain ? "unknown_protocol" : reason);
      },
    });
  }

  #serve(socket: Socket, connection: OpenConnection, protocol: Protocol): void {
    this.#connections.began(connection, protocol);
    this.#served.set(socket, connection);
    // The client sent a valid certificate, so it is an Envoy of this operator.
    const isTrusted = "authorized" in socket && socket.authorized === true;
    if (protocol === "http2") this.http2.adopt(socket, { isTrusted });
    else this.http1.serve(socket);
  }

  #idleConnection(): OpenConnection | undefined {
    const socket = this.http1.findIdle() ?? this.http2.findUnused();
    return socket && this.#served.get(socket);
  }
}

function endOnError(socket: Socket): void {
  socket.on("error", () => socket.destroy());
}

function tlsFailure(code: string | undefined): ConnectionFailure {
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "tls_handshake_timeout";
  return NOT_TLS.has(code) ? "plaintext_on_tls_port" : "tls_handshake_failed";
}

/** The client's address, which is the same for a socket and its TLS socket; undefined for a client of a Unix socket. */
function clientOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}

function uncountedHolds(): number {
  return Math.floor((getHeapStatistics().heap_size_limit * HELD_HEAP_SHARE) / HELD_STREAM_BYTES);
}
