import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Http1Handler } from "./endpoint.ts";

/** Longest silence on a connection while a request is under way. */
const IDLE_TIMEOUT_MS = 60_000;

/** How long a peer may take, however busy it is meanwhile, until it is answered 408. */
export interface Http1Timeouts {
  /** From the start of a request to the end of its headers. */
  readonly headersMs: number;
  /** The same, to the end of its body. */
  readonly requestMs: number;
  /** How often both are looked at. */
  readonly checkIntervalMs: number;
}

const DEFAULT_TIMEOUTS: Http1Timeouts = { headersMs: 20_000, requestMs: 60_000, checkIntervalMs: 5_000 };

/** HTTP/1.1 on node:http over connections that somebody else accepts. */
export class Http1Server {
  readonly #server: Server;
  readonly #handler: Http1Handler;
  /** Connections with the number of requests that are under way on each. */
  readonly #active = new Map<Socket, number>();
  #draining = false;

  constructor(handler: Http1Handler, timeouts = DEFAULT_TIMEOUTS) {
    this.#handler = handler;
    const { headersMs, requestMs, checkIntervalMs } = timeouts;
    const limits = {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: checkIntervalMs,
    };
    this.#server = createServer(limits, (request, response) => this.#serve(request, response));
    this.#server.timeout = IDLE_TIMEOUT_MS;
    // Node looks at these two only once a server listens, which this one never does by itself.
    this.#server.emit("listening");
  }

  /** Serves a connection. */
  serve(socket: Socket): void {
    this.#active.set(socket, 0);
    socket.once("close", () => this.#active.delete(socket));
    this.#server.emit("connection", socket);
  }

  /** Ends connections as their last answer leaves. */
  drain(): void {
    this.#draining = true;
    // Stops the timer; what is still under way goes on.
    this.#server.close();
    for (const [socket, active] of this.#active) if (active === 0) socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    const { socket } = request;
    this.#active.set(socket, (this.#active.get(socket) ?? 0) + 1);
    if (this.#draining) response.setHeader("connection", "close");
    // A connection that breaks raises an error on both; whoever works on it learns of it by `close`.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    response.once("close", () => {
      const active = (this.#active.get(socket) ?? 1) - 1;
      if (this.#active.has(socket)) this.#active.set(socket, active);
      if (this.#draining && active === 0) socket.destroySoon();
    });
    this.#handler(request, response);
  }
}
