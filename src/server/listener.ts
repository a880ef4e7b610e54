import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { getHeapStatistics } from "node:v8";
import { Http2Connections, type Http2ConnectionsOptions } from "../http2/connections.ts";
import { type Http2LimitsInit, resolveHttp2Limits } from "../http2/limits.ts";
import { headersTooLargeStatus } from "./connection-log.ts";
import type { Endpoint } from "./endpoint.ts";
import { Http1Server } from "./http1-server.ts";
import type { ListenAddress } from "./listen-address.ts";
import { type Protocol, sniffProtocol } from "./protocol-sniffer.ts";
import { listenOnSocketFile, type SocketFile } from "./unix-socket.ts";

export interface ListenerOptions
  extends Pick<Http2ConnectionsOptions, "onConnectionEnd" | "onMalformedRequest" | "onHandlerError"> {
  readonly address: Exclude<ListenAddress, { readonly kind: "off" }>;
  readonly endpoint: Endpoint;
  /** Certificate and key, where the listener speaks TLS. */
  readonly tls?: TlsOptions | undefined;
  /** Where limits of its connections differ from the defaults. */
  readonly limits?: Http2LimitsInit | undefined;
  /** Called for each stream that was refused because its headers are too large. */
  readonly onHeadersTooLarge?: ((sizeBytes: number, maxBytes: number) => void) | undefined;
  /** Called for each handshake that failed. */
  readonly onTlsError?: ((error: Error) => void) | undefined;
}

/** Longest that a TLS handshake may take. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What a handler that hangs keeps in memory: its transaction, with headers of ordinary size. Measured: 5.5 KiB. */
const HELD_STREAM_BYTES = 6 * 1024;
/** Share of the heap that such handlers may have before they cost other streams their place. */
const HELD_HEAP_SHARE = 1 / 4;

/**
 * One address that speaks HTTP/2, with prior knowledge or agreed on by TLS, and HTTP/1.1, told apart by the first
 * bytes of a connection. The only place that knows listening sockets.
 */
export class Listener {
  /** Its HTTP/2 connections, with their totals. */
  readonly http2: Http2Connections;
  /** Its HTTP/1.1 connections, with theirs. */
  readonly http1: Http1Server;
  readonly #options: ListenerOptions;
  readonly #tcp: TcpServer;
  readonly #sockets = new Set<Socket>();
  #socketFile: SocketFile | undefined;
  /** Connections whose TLS handshake is not over, by the address of their peer. */
  readonly #handshakes = new Map<string, Socket>();
  /** Connections that have not said yet what they speak. */
  readonly #unknown = new Set<Socket>();

  constructor(options: ListenerOptions) {
    const { endpoint, tls, onConnectionEnd, onHeadersTooLarge, onMalformedRequest, onHandlerError, onTlsError } =
      options;
    this.#options = options;
    this.http1 = new Http1Server(endpoint.http1);
    const limits = resolveHttp2Limits({ uncountedHolds: uncountedHolds(), ...options.limits });
    const { maxHeaderListBytes } = limits;
    this.http2 = new Http2Connections({
      accept: endpoint.http2,
      limits,
      tooLargeFields: headersTooLargeStatus(maxHeaderListBytes),
      onHeadersTooLarge: (sizeBytes) => onHeadersTooLarge?.(sizeBytes, maxHeaderListBytes),
      onMalformedRequest,
      onConnectionEnd,
      onHandlerError,
    });
    // Half-open: a client may end its side behind the request and wait for the answer.
    if (tls === undefined) {
      this.#tcp = createTcpServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
      return;
    }
    const secured = { ...tls, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ALPNProtocols: ["h2", "http/1.1"] };
    this.#tcp = createTlsServer(secured, (socket) => this.#acceptTls(socket));
    this.#tcp.on("connection", (socket: Socket) => this.#beginHandshake(socket));
    this.#tcp.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      onTlsError?.(error);
      socket.destroy();
    });
  }

  /**
   * Starts to listen and tells where, with the real port.
   *
   * @throws An error with `code`, such as `EADDRINUSE`, where the address cannot be had.
   */
  async listen(): Promise<ListenAddress> {
    const { address } = this.#options;
    if (address.kind === "unix") {
      this.#socketFile = await listenOnSocketFile(address.path, (path) => this.#bind({ path }));
    } else {
      await this.#bind({ port: address.port, ...(address.host && { host: address.host }) });
    }
    // What fails later, as accept does for want of file descriptors, concerns one connection.
    this.#tcp.on("error", () => undefined);
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

  /** Takes no new connections and no new streams, and resolves when what was under way is done. */
  async drain(): Promise<void> {
    this.#socketFile?.remove();
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const socket of [...this.#unknown, ...this.#handshakes.values()]) socket.destroy();
    this.http1.drain();
    await Promise.all([closed, this.http2.drain()]);
  }

  /** Ends every connection at once. */
  destroy(): void {
    this.#socketFile?.remove();
    this.#tcp.close();
    this.http1.drain();
    this.http2.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Node does not say which socket a TLS socket is made of, but both name the same peer. */
  #beginHandshake(socket: Socket): void {
    this.#hold(socket);
    const peer = peerOf(socket);
    // A client on a Unix socket has no address: its handshake may take until its timeout.
    if (peer === undefined) return;
    this.#handshakes.set(peer, socket);
    socket.once("close", () => {
      if (this.#handshakes.get(peer) === socket) this.#handshakes.delete(peer);
    });
  }

  #acceptTls(socket: TLSSocket): void {
    this.#handshakes.delete(peerOf(socket) ?? "");
    // Not from the start: whoever ends its side in the middle of the handshake waits for nothing.
    socket.allowHalfOpen = true;
    if (socket.alpnProtocol !== "h2") {
      this.#accept(socket);
      return;
    }
    this.#hold(socket);
    this.#serve(socket, "http2");
  }

  #accept(socket: Socket): void {
    this.#hold(socket);
    this.#unknown.add(socket);
    socket.once("close", () => this.#unknown.delete(socket));
    sniffProtocol(socket, (protocol) => {
      this.#unknown.delete(socket);
      this.#serve(socket, protocol);
    });
  }

  #hold(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #serve(socket: Socket, protocol: Protocol): void {
    // A client certificate was asked for and found good: an Envoy of ours.
    const isTrusted = "authorized" in socket && socket.authorized === true;
    if (protocol === "http2") this.http2.adopt(socket, { isTrusted });
    else this.http1.serve(socket);
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}

function uncountedHolds(): number {
  return Math.floor((getHeapStatistics().heap_size_limit * HELD_HEAP_SHARE) / HELD_STREAM_BYTES);
}
