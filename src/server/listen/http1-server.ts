import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { FairShare } from "../../memory/fair-share.ts";
import { MemoryAccount } from "../../memory/memory-account.ts";
import type { MemoryShare } from "../../memory/memory-share.ts";
import type { Http1Handler } from "../endpoints/endpoint.ts";
import type { ConnectionFailure } from "./listener-connections.ts";
import { PacedSocket, RequestTurns } from "./paced-socket.ts";

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

/** One for all servers: they share the thread. */
const turns = new RequestTurns();

/** What the HTTP/1.1 connections of one server have done so far. */
export interface Http1Totals {
  /** Requests that arrived while another request of their connection was under way, and waited for its response. */
  requestsDelayed: number;
}

/** Where the memory counts that clients make a server hold. Each connection has a fair part of both. */
export interface Http1Memory {
  readonly messages: MemoryShare;
  readonly answers: MemoryShare;
}

/** How a server of HTTP/1.1 differs from the default. */
export interface Http1Options {
  readonly timeouts?: Http1Timeouts | undefined;
  /** Counts answers that wait for their client, and received bytes that wait. Default: shares of its own. */
  readonly memory?: Http1Memory | undefined;
  /** Called for each request that Node refuses because it cannot be read or takes too long. */
  readonly onFailure?: ((reason: ConnectionFailure) => void) | undefined;
}

/**
 * HTTP/1.1 on node:http over connections that a listener accepts. Each connection has one request under way at a time:
 * pipelined requests wait, and the connection is not read meanwhile.
 */
export class Http1Server {
  readonly totals: Http1Totals = { requestsDelayed: 0 };
  readonly #server: Server;
  readonly #handler: Http1Handler;
  readonly #memory: Http1Memory;
  /** Connections, and whether a request is under way on each. */
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
    // Node looks at these two only once a server listens, which this one never does by itself.
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

  /** The oldest connection on which no request is under way. */
  findIdle(): Socket | undefined {
    for (const [socket, isActive] of this.#active) if (!isActive) return socket.connection;
    return undefined;
  }

  /** Ends connections as their last answer leaves. */
  drain(): void {
    this.#draining = true;
    // Stops the timer; what is still under way goes on.
    this.#server.close();
    for (const [socket, isActive] of this.#active) if (!isActive) socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    // The only connections that this server has.
    const socket = request.socket as unknown as PacedSocket;
    socket.begin(request);
    this.#active.set(socket, true);
    if (this.#draining) response.setHeader("connection", "close");
    // A connection that breaks raises an error on both; the handler learns of it by `close`.
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

/** Tells of requests that cannot be read. Node still answers them: it knows if an answer is under way already. */
function tellClientErrors(server: Server, onFailure: Http1Options["onFailure"]): void {
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
  server.emit = (event: string, ...args: unknown[]) => {
    const reason = event === "clientError" ? failureOf(args[0]) : undefined;
    if (reason !== undefined) onFailure?.(reason);
    // False without a listener, which is how Node learns that it has to answer.
    return emit(event, ...args);
  };
}

function failureOf(error: unknown): ConnectionFailure | undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "HPE_HEADER_OVERFLOW") return "headers_too_large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "http1_request_timeout";
  return code.startsWith("HPE_") ? "http1_malformed" : undefined;
}
