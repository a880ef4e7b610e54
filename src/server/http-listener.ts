import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import type { ListenAddress } from "./listen-address.ts";
import { type Protocol, sniffProtocol } from "./protocol-sniffer.ts";
import { removeStaleSocket, restrictSocket } from "./unix-socket.ts";

/** Answers one HTTP request, of whichever version. */
export type RequestHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: (ServerResponse<IncomingMessage> & { readonly req: IncomingMessage }) | Http2ServerResponse,
) => void;

export interface HttpListenerOptions {
  readonly address: Exclude<ListenAddress, { readonly kind: "off" }>;
  readonly handler: RequestHandler;
}

/**
 * Envoy resets every stream that it is done with, and Node closes a connection after 1,000 resets, at 33 a second,
 * for an attack. Raised as far as it goes; Node 20 has no such option.
 */
const RESETS = { streamResetBurst: 1_000_000, streamResetRate: 100_000 };

const HTTP2_OPTIONS = {
  ...RESETS,
  // Envoy has one connection per worker; Node's default of 10 MB would refuse streams that wait with a body.
  maxSessionMemory: 256,
  settings: { maxConcurrentStreams: 1000, enablePush: false },
};

/** Longest silence on an HTTP/1.1 connection while a request is under way. */
const HTTP1_IDLE_TIMEOUT_MS = 60_000;

/**
 * One address that speaks HTTP/2 with prior knowledge and HTTP/1.1, told apart by the first bytes of a connection.
 * The seam behind which the transport lives: nothing else in the project knows sockets.
 */
export class HttpListener {
  readonly #tcp: TcpServer;
  readonly #options: HttpListenerOptions;
  readonly #sockets = new Set<Socket>();
  /** Connections that have not said yet what they speak. */
  readonly #unknown = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** HTTP/1.1 connections with the number of requests that are under way on each. */
  readonly #http1 = new Map<Socket, number>();
  #draining = false;

  constructor(options: HttpListenerOptions) {
    this.#options = options;
    const http1 = createHttp1Server((request, response) => this.#serveHttp1(request, response));
    http1.timeout = HTTP1_IDLE_TIMEOUT_MS;
    const http2 = createHttp2Server(HTTP2_OPTIONS, (request, response) => this.#serve(request, response));
    http2.on("session", (session) => this.#track(session));
    // A connection that breaks is not our failure, and without a listener it would end the process.
    http2.on("sessionError", () => undefined);
    // Half-open, as node:http wants its sockets: a client may end its side behind the request and wait.
    this.#tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
      this.#accept(socket, (protocol) => (protocol === "http2" ? http2 : http1).emit("connection", socket));
    });
  }

  /**
   * Starts to listen and tells where, with the real port.
   *
   * @throws An error with `code`, such as `EADDRINUSE`, where the address cannot be had.
   */
  async listen(): Promise<ListenAddress> {
    const { address } = this.#options;
    if (address.kind === "unix") await removeStaleSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once("error", reject);
      const target =
        address.kind === "unix"
          ? { path: address.path }
          : { port: address.port, ...(address.host && { host: address.host }) };
      this.#tcp.listen(target, () => {
        this.#tcp.off("error", reject);
        resolve();
      });
    });
    if (address.kind === "unix") await restrictSocket(address.path);
    // What fails later, as accept does for want of file descriptors, concerns one connection.
    this.#tcp.on("error", () => undefined);
    if (address.kind === "unix") return address;
    return { kind: "tcp", host: address.host, port: (this.#tcp.address() as AddressInfo).port };
  }

  /** Takes no new connections and no new streams, and resolves when what was under way is done. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    for (const socket of this.#unknown) socket.destroy();
    for (const [socket, active] of this.#http1) if (active === 0) socket.destroy();
    await closed;
  }

  /** Ends every connection at once. */
  destroy(): void {
    this.#draining = true;
    this.#tcp.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, serve: (protocol: Protocol) => void): void {
    this.#sockets.add(socket);
    this.#unknown.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      for (const known of [this.#sockets, this.#unknown, this.#http1]) known.delete(socket);
    });
    sniffProtocol(socket, (protocol) => {
      this.#unknown.delete(socket);
      if (protocol === "http1") this.#http1.set(socket, 0);
      // node:http2 counts on its sockets to close when the peer ends its side.
      else socket.allowHalfOpen = false;
      serve(protocol);
    });
  }

  #track(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("close", () => this.#sessions.delete(session)).on("error", () => session.destroy());
    if (this.#draining) session.close();
  }

  #serveHttp1(
    request: IncomingMessage,
    response: ServerResponse<IncomingMessage> & { readonly req: IncomingMessage },
  ): void {
    const { socket } = request;
    this.#http1.set(socket, (this.#http1.get(socket) ?? 0) + 1);
    if (this.#draining) response.setHeader("connection", "close");
    response.once("close", () => {
      const active = (this.#http1.get(socket) ?? 1) - 1;
      if (this.#http1.has(socket)) this.#http1.set(socket, active);
      if (this.#draining && active === 0) socket.destroySoon();
    });
    this.#serve(request, response);
  }

  #serve(...[request, response]: Parameters<RequestHandler>): void {
    // A reset stream raises an error on both; whoever works on it learns of it by `close`.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    // After a reset with NO_ERROR node:http2 waits until what came before is read, which may be never.
    if ("stream" in request) request.once("aborted", () => request.stream.destroy());
    this.#options.handler(request, response);
  }
}
