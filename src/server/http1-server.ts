import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Http1Handler } from "./endpoint.ts";

/** Longest silence on a connection while a request is under way. */
const IDLE_TIMEOUT_MS = 60_000;

const HEADERS_TIMEOUT_MS = 30_000;

/** HTTP/1.1 on node:http over connections that somebody else accepts. */
export class Http1Server {
  readonly #server = createServer((request, response) => this.#serve(request, response));
  readonly #handler: Http1Handler;
  readonly #headersTimeoutMs: number;
  /** Connections with the number of requests that are under way on each. */
  readonly #active = new Map<Socket, number>();
  /** node:http has such time-outs itself, but looks at them only on connections that it has accepted. */
  readonly #headersDue = new WeakMap<Socket, NodeJS.Timeout>();
  #draining = false;

  /** @param headersTimeoutMs Longest that a connection may take to the end of its next request's headers. */
  constructor(handler: Http1Handler, headersTimeoutMs = HEADERS_TIMEOUT_MS) {
    this.#handler = handler;
    this.#headersTimeoutMs = headersTimeoutMs;
    this.#server.timeout = IDLE_TIMEOUT_MS;
  }

  /** Serves a connection. */
  serve(socket: Socket): void {
    this.#active.set(socket, 0);
    socket.once("close", () => {
      this.#active.delete(socket);
      clearTimeout(this.#headersDue.get(socket));
    });
    this.#expectHeaders(socket);
    this.#server.emit("connection", socket);
  }

  /** Ends connections as their last answer leaves. */
  drain(): void {
    this.#draining = true;
    for (const [socket, active] of this.#active) if (active === 0) socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    const { socket } = request;
    clearTimeout(this.#headersDue.get(socket));
    this.#active.set(socket, (this.#active.get(socket) ?? 0) + 1);
    if (this.#draining) response.setHeader("connection", "close");
    // A connection that breaks raises an error on both; whoever works on it learns of it by `close`.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    response.once("close", () => {
      const active = (this.#active.get(socket) ?? 1) - 1;
      if (this.#active.has(socket)) this.#active.set(socket, active);
      if (this.#draining && active === 0) socket.destroySoon();
      else if (active === 0) this.#expectHeaders(socket);
    });
    this.#handler(request, response);
  }

  #expectHeaders(socket: Socket): void {
    clearTimeout(this.#headersDue.get(socket));
    this.#headersDue.set(socket, setTimeout(() => socket.destroy(), this.#headersTimeoutMs).unref());
  }
}
