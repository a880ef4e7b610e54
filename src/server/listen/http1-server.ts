import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { FairShare } from "../../memory/fair-share.ts";
import { MemoryAccount } from "../../memory/memory-account.ts";
import type { MemoryShare } from "../../memory/memory-share.ts";
import type { Http1Handler } from "../endpoints/endpoint.ts";
import type { ConnectionFailure } from "./listener-connections.ts";
import { PacedSocket, RequestTurns } from "./paced-socket.ts";

/** Longest silence on a connection during a request. */
const IDLE_TIMEOUT_MS = 60_000;

/** How long a client can take to send a request, even if it keeps sending. After that it gets 408. */
export interface Http1Timeouts {
  /** From the start of a request to the end of its headers. */
  readonly headersMs: number;
  /** From the start of a request to the end of its body. */
  readonly requestMs: number;
  /** How often both are checked. */
  readonly checkIntervalMs: number;
}

const DEFAULT_TIMEOUTS: Http1Timeouts = { headersMs: 20_000, requestMs: 60_000, checkIntervalMs: 5_000 };

/** One object for all servers, because they share the thread. */
const turns = new RequestTurns();

/** Totals of the HTTP/1.1 connections of one server. */
export interface Http1Totals {
  /** Requests that arrived during another request of their connection, and waited for its response. */
  requestsDelayed: number;
}

/** The shares that count the memory that clients make a server hold. Each connection has a fair part of both. */
export interface Http1Memory {
  readonly messages: MemoryShare;
  readonly answers: MemoryShare;
}

/** Options of {@link Http1Server}. */
export interface Http1Options {
  readonly timeouts?: Http1Timeouts | undefined;
  /** Counts answers that wait to be sent, and received bytes that wait. Default: separate shares. */
  readonly memory?: Http1Memory | undefined;
  /** Called for each request that Node rejects because it cannot be parsed or takes too long. */
  readonly onFailure?: ((reason: ConnectionFailure) => void) | undefined;
}

/**
 * HTTP/1.1 with node:http on connections that a listener accepts. Each connection handles one request at a time.
 * Pipelined requests wait, and the connection is not read meanwhile.
 */
export class Http1Server {
  readonly totals: Http1Totals = { requestsDelayed: 0 };
  readonly #server: Server;
  readonly #handler: Http1Handler;
  readonly #memory: Http1Memory;
  /** The connections; true if a request is running. */
  readonly #active = new Map<PacedSocket, boolean>();
  #draining = false;

  constructor(handler: Http1Handler, { timeouts = DEFAULT_TIMEOUTS, memory, onFailure }: Http1Options = {}) {
    this.#handler = handler;
    this.#memory = memory ?? new MemoryAccount();
    const { headersMs, requestMs, checkIntervalMs } = timeouts;
    const limits = {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: checkIntervalMs,
    };
    this.#server = createServer(limits, (request, response) => this.#serve(request, response));
    this.#server.timeout = IDLE_TIMEOUT_MS;
    tellClientErrors(this.#server, onFailure);
    // Node uses these two timeouts only after a server listens, and this server never listens itself.
    this.#server.emit("listening");
  }

  /** Serves a connection. */
  serve(socket: Socket): void {
    const paced = new PacedSocket(socket, {
      turns,
      answers: new FairShare(this.#memory.answers),
      messages: new FairShare(this.#memory.messages),
      onDelayed: () => this.totals.requestsDelayed++,
    });
    this.#active.set(paced, false);
    paced.once("close", () => this.#active.delete(paced));
    this.#server.emit("connection", paced);
  }

  /** The oldest connection without a running request. */
  findIdle(): Socket | undefined {
    for (const [socket, isActive] of this.#active) if (!isActive) return socket.connection;
    return undefined;
  }

  /** Ends each connection after its last response. */
  drain(): void {
    this.#draining = true;
    // Stops the timer. Running requests continue.
    this.#server.close();
    for (const [socket, isActive] of this.#active) if (!isActive) socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    // The only connections that this server has.
    const socket = request.socket as unknown as PacedSocket;
    socket.begin(request);
    this.#active.set(socket, true);
    if (this.#draining) response.setHeader("connection", "close");
    // A broken connection emits an error on both. The handler gets `close`.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    response.once("close", () => {
      if (this.#active.has(socket)) this.#active.set(socket, false);
      if (this.#draining) socket.destroySoon();
      else socket.answered();
    });
    this.#handler(request, response);
  }
}

/** Reports requests that cannot be parsed. Node still answers them, because it knows if a response has begun. */
function tellClientErrors(server: Server, onFailure: Http1Options["onFailure"]): void {
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
  server.emit = (event: string, ...args: unknown[]) => {
    const reason = event === "clientError" ? failureOf(args[0]) : undefined;
    if (reason !== undefined) onFailure?.(reason);
    // False: nothing listens, so Node answers.
    return emit(event, ...args);
  };
}

function failureOf(error: unknown): ConnectionFailure | undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "HPE_HEADER_OVERFLOW") return "headers_too_large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "http1_request_timeout";
  return code.startsWith("HPE_") ? "http1_malformed" : undefined;
}
