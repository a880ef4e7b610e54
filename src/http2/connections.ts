import type { Duplex } from "node:stream";
import { DEFAULT_MEMORY_CAPS } from "../memory/memory-account.ts";
import { MemoryShare } from "../memory/memory-share.ts";
import { type ConnectionEnd, Http2Connection, type Http2Memory } from "./connection.ts";
import type { RefusalEvents } from "./connection-context.ts";
import type { AcceptStream } from "./http2-stream.ts";
import type { Http2Limits } from "./limits.ts";
import { createTotals, type Http2Totals } from "./totals.ts";

/** What a server's connections have in common. */
export interface Http2ConnectionsOptions extends RefusalEvents {
  readonly accept: AcceptStream;
  /** From resolveHttp2Limits. */
  readonly limits: Http2Limits;
  /** Counts waiting received bytes and waiting answers. Default: separate shares, as large as a server's defaults. */
  readonly memory?: Http2Memory | undefined;
  /** Called when a connection has closed. */
  readonly onConnectionEnd?: ((end: ConnectionEnd, connection: Http2Connection) => void) | undefined;
  /** Called for each exception that application code threw. Its stream was reset. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined;
  /** Milliseconds since any start; they never go backwards. Default performance.now. */
  readonly now?: (() => number) | undefined;
  /** 0 to 1, for the jitter of maxConnectionAgeMs. Default Math.random. */
  readonly random?: (() => number) | undefined;
}

/** What is known of one socket. */
export interface AdoptOptions {
  /** Bytes that were already read from the socket, the preface first. */
  readonly head?: Buffer | undefined;
  /** See Http2ConnectionOptions.isTrusted. */
  readonly isTrusted?: boolean | undefined;
}

/**
 * The HTTP/2 connections of one server. One timer serves all their timeouts. It runs only while there are connections,
 * and it never keeps the process alive.
 */
export class Http2Connections {
  readonly totals: Http2Totals = createTotals();
  readonly memory: Http2Memory;
  readonly #options: Http2ConnectionsOptions;
  readonly #now: () => number;
  readonly #open = new Set<Http2Connection>();
  #timer: NodeJS.Timeout | undefined;
  #isDraining = false;
  #onceEmpty: (() => void)[] = [];
  #lastTickMs = 0;
  /** The connections' clock. It stops while this process stalls, so that a stall of the process causes no timeout. */
  #clockMs = 0;

  constructor(options: Http2ConnectionsOptions) {
    this.#options = options;
    this.memory = options.memory ?? {
      messages: new MemoryShare("messages", DEFAULT_MEMORY_CAPS.messages),
      answers: new MemoryShare("answers", DEFAULT_MEMORY_CAPS.answers),
    };
    this.#now = options.now ?? (() => performance.now());
  }

  /** Connections whose socket has not closed yet. */
  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): IterableIterator<Http2Connection> {
    return this.#open.values();
  }

  /** Serves a socket that speaks HTTP/2: a net or tls socket, or any other Duplex of bytes. */
  adopt(socket: Duplex, { head, isTrusted }: AdoptOptions = {}): Http2Connection {
    const { accept, limits, tooLargeFields, onHeadersTooLarge, onConnectionEnd, onHandlerError } = this.#options;
    const { onMalformedRequest, onStreamShed, random = Math.random } = this.#options;
    this.#startTimer();
    const connection: Http2Connection = new Http2Connection(socket, {
      accept,
      limits,
      totals: this.totals,
      memory: this.memory,
      now: () => this.#advanceClock(),
      tickIn: (delayMs) => this.#tickIn(delayMs, connection),
      tooLargeFields,
      onHeadersTooLarge,
      onMalformedRequest,
      onStreamShed,
      head,
      isTrusted,
      ageJitter: random(),
      onClose: (end) => {
        this.#forget(connection);
        onConnectionEnd?.(end, connection);
      },
      onHandlerError,
    });
    this.#open.add(connection);
    if (this.#isDraining) connection.drain();
    return connection;
  }

  /** The socket of the oldest connection that has never had a stream. */
  findUnused(): Duplex | undefined {
    for (const connection of this.#open) if (connection.isUnused) return connection.socket;
    return undefined;
  }

  /** Drains all connections, also those that are adopted later. Resolves when the last one has closed. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    for (const connection of this.#open) connection.drain();
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#onceEmpty.push(resolve));
  }

  /** Http2Connection.close() for all. */
  close(): void {
    for (const connection of this.#open) connection.close();
  }

  /** Destroys all sockets. */
  destroy(): void {
    for (const connection of this.#open) connection.destroy();
  }

  /** Checks all timeouts. The timer calls it, and tests call it instead of the timer. */
  tick(): void {
    const nowMs = this.#advanceClock();
    for (const connection of this.#open) connection.tick(nowMs);
  }

  #advanceClock(): number {
    const nowMs = this.#now();
    const longestMs = 2 * this.#options.limits.tickIntervalMs;
    this.#clockMs += Math.min(nowMs - this.#lastTickMs, longestMs);
    this.#lastTickMs = nowMs;
    return this.#clockMs;
  }

  #tickIn(delayMs: number, connection: Http2Connection): void {
    setTimeout(() => {
      if (this.#open.has(connection)) connection.tick(this.#advanceClock());
    }, Math.ceil(delayMs)).unref();
  }

  #startTimer(): void {
    if (this.#timer !== undefined) return;
    this.#lastTickMs = this.#now();
    this.#timer = setInterval(() => this.tick(), this.#options.limits.tickIntervalMs);
    this.#timer.unref();
  }

  #forget(connection: Http2Connection): void {
    this.#open.delete(connection);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const resolve of this.#onceEmpty.splice(0)) resolve();
  }
}
