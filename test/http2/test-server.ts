import net from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import type { ConnectionEnd, Http2Connection } from "../../src/http2/connection.ts";
import { type AdoptOptions, Http2Connections } from "../../src/http2/connections.ts";
import type { HeaderList } from "../../src/http2/header-list.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../../src/http2/http2-stream.ts";
import { type Http2Limits, resolveHttp2Limits } from "../../src/http2/limits.ts";
import { MemoryAccount, type MemoryKind } from "../../src/memory/memory-account.ts";
import { RawClient } from "./raw-client.ts";

/** A stream as the application saw it. */
export interface SeenStream {
  readonly stream: Http2Stream;
  readonly headers: HeaderList;
  readonly body: Buffer[];
  trailers: HeaderList | undefined;
  isEnded: boolean;
  resetCode: number | undefined;
}

export interface TestServerOptions {
  readonly limits?: Partial<Http2Limits>;
  /** The limits for bytes of messages and answers. */
  readonly memory?: { readonly [K in MemoryKind]?: number };
  /** The actions of the application. Without them it only watches. */
  readonly handle?: (seen: SeenStream) => Partial<StreamHandler> | undefined;
}

/** Connections with a clock that the test moves, and a record of what the application saw. */
export class TestServer {
  readonly connections: Http2Connections;
  readonly streams: SeenStream[] = [];
  readonly ends: ConnectionEnd[] = [];
  readonly errors: unknown[] = [];
  #nowMs = 0;

  readonly memory: MemoryAccount;
  readonly shed: string[] = [];

  constructor({ limits = {}, memory, handle = () => undefined }: TestServerOptions = {}) {
    this.memory = new MemoryAccount(memory);
    const accept: AcceptStream = (stream, headers) => {
      const seen: SeenStream = { stream, headers, body: [], trailers: undefined, isEnded: false, resetCode: undefined };
      this.streams.push(seen);
      return recording(seen, handle(seen) ?? {});
    };
    this.connections = new Http2Connections({
      accept,
      // The real timer must not run before the tests do: they tick by hand.
      limits: resolveHttp2Limits({ tickIntervalMs: 60_000, ...limits }),
      onConnectionEnd: (end) => this.ends.push(end),
      memory: this.memory,
      onStreamShed: (reason) => this.shed.push(reason),
      onHandlerError: (error) => this.errors.push(error),
      now: () => this.#nowMs,
      random: () => 0.5,
    });
  }

  get totals() {
    return this.connections.totals;
  }

  /** The stream with this identifier, of the last connection that had one. */
  seen(id: number): SeenStream {
    const found = this.streams.findLast((seen) => seen.stream.id === id);
    if (found === undefined) throw new Error(`no stream ${id}`);
    return found;
  }

  /** Lets time pass, in steps of a second. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      this.#nowMs += Math.min(left, 1000);
      this.connections.tick();
    }
  }

  /** Simulates that the process does nothing for this long, and then reads the clock. */
  stall(ms: number): void {
    this.#nowMs += ms;
    this.connections.tick();
  }

  /** A client over a pipe that is not a net.Socket, and the connection behind it. */
  connect(options: AdoptOptions = {}): { client: RawClient; connection: Http2Connection; serverSide: Duplex } {
    const [clientSide, serverSide] = duplexPair();
    const connection = this.connections.adopt(serverSide, options);
    return { client: new RawClient(clientSide), connection, serverSide };
  }

  /** A client over the pipe with the handshake done. */
  async client(...pairs: readonly (readonly [id: number, value: number])[]): Promise<RawClient> {
    const { client } = this.connect();
    await client.handshake(...pairs);
    return client;
  }

  /** Serves TCP too, and returns the port; stop() ends it. */
  async listen(): Promise<{ port: number; stop: () => Promise<void> }> {
    const server = net.createServer((socket) => this.connections.adopt(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const stop = async () => {
      this.connections.destroy();
      await new Promise((resolve) => server.close(resolve));
    };
    return { port: address.port, stop };
  }
}

/** Connects a raw client over TCP. */
export async function connectRaw(port: number): Promise<RawClient> {
  const socket = net.connect(port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.setNoDelay(true);
  return new RawClient(socket);
}

function recording(seen: SeenStream, handler: Partial<StreamHandler>): StreamHandler {
  return {
    onData(bytes, start, end) {
      seen.body.push(Buffer.from(bytes.subarray(start, end)));
      handler.onData?.(bytes, start, end);
    },
    onEnd(trailers) {
      seen.isEnded = true;
      seen.trailers = trailers;
      handler.onEnd?.(trailers);
    },
    onReset(code) {
      seen.resetCode = code;
      handler.onReset?.(code);
    },
    onWritable() {
      handler.onWritable?.();
    },
    isMidMessage: () => handler.isMidMessage?.() ?? false,
  };
}
