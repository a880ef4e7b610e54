import { connect as connectTcp, type Socket } from "node:net";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import * as raw from "../http2/raw-frames.ts";
import { nothingReceived, type OnActivity, type WireField, type WireStream } from "./wire.ts";
import { listenForSockets, type WireListener } from "./wire-listener.ts";

const STREAM_ID = 1;
const BIG = 1 << 20;
const INITIAL_WINDOW_SIZE = 4;
/** RFC 8441: an upgrade may come as an extended CONNECT. */
const ENABLE_CONNECT_PROTOCOL = 8;
const WINDOW_BYTES = 1 << 26;
const FRAME_HEADER_BYTES = 9;
const DATA_FRAME_BYTES = 16_384;

/** Opens an HTTP/2 connection for one request. */
export function openHttp2Client(port: number, onActivity: OnActivity): WireStream {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  return new Http2Stream(socket, { side: "client", onActivity });
}

/** Listens for the one request of an HTTP/2 exchange. `onStream` is called when its connection opens. */
export function listenHttp2(onStream: (stream: WireStream) => void, onActivity: OnActivity): Promise<WireListener> {
  return listenForSockets((socket) => onStream(new Http2Stream(socket, { side: "upstream", onActivity })));
}

interface Http2StreamOptions {
  readonly side: "client" | "upstream";
  readonly onActivity: OnActivity;
}

/**
 * One HTTP/2 connection with one stream, frame by frame, so that every END_STREAM is where a scenario wants it. Windows
 * are large on our side; on Envoy's they are larger than a scenario's body.
 */
class Http2Stream implements WireStream {
  readonly incoming = nothingReceived();
  readonly #socket: Socket;
  readonly #decoder = new HpackDecoder({
    headerTableBytes: 4096,
    maxHeaderListBytes: BIG,
    maxHeaderExpansionBytes: BIG,
  });
  #bytes: Buffer = Buffer.alloc(0);
  #prefaceLeft: number;
  #block: Buffer[] = [];
  #blockEndsStream = false;
  #wasReset = false;

  constructor(socket: Socket, { side, onActivity }: Http2StreamOptions) {
    this.#socket = socket;
    this.#prefaceLeft = side === "upstream" ? raw.PREFACE.length : 0;
    if (side === "client") socket.write(raw.PREFACE);
    const window = [INITIAL_WINDOW_SIZE, WINDOW_BYTES] as const;
    socket.write(side === "upstream" ? raw.settings(window, [ENABLE_CONNECT_PROTOCOL, 1]) : raw.settings(window));
    socket.write(raw.windowUpdate(0, WINDOW_BYTES));
    socket.on("data", (bytes: Buffer) => {
      this.#read(bytes);
      onActivity();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#cut();
      onActivity();
    });
  }

  batch(write: () => void): void {
    this.#socket.cork();
    write();
    this.#socket.uncork();
  }

  head(fields: readonly WireField[], { endStream }: { readonly endStream: boolean }): void {
    this.#write(raw.headers(STREAM_ID, fields, endStream ? raw.END_STREAM : 0));
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    let rest = bytes;
    do {
      const piece = rest.subarray(0, DATA_FRAME_BYTES);
      rest = rest.subarray(piece.length);
      this.#write(raw.data(STREAM_ID, piece, endStream && rest.length === 0 ? raw.END_STREAM : 0));
    } while (rest.length > 0);
  }

  trailers(fields: readonly WireField[]): void {
    this.#write(raw.headers(STREAM_ID, fields, raw.END_STREAM));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #write(frame: Buffer): void {
    if (!this.#socket.destroyed && !this.#wasReset) this.#socket.write(frame);
  }

  #read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    const skipped = Math.min(this.#prefaceLeft, this.#bytes.length);
    this.#prefaceLeft -= skipped;
    this.#bytes = this.#bytes.subarray(skipped);
    while (this.#bytes.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) return;
      const [type = 0, flags = 0] = this.#bytes.subarray(3, 5);
      const payload = Buffer.from(this.#bytes.subarray(FRAME_HEADER_BYTES, end));
      this.#bytes = this.#bytes.subarray(end);
      this.#frame(type, flags, payload);
    }
  }

  #frame(type: number, flags: number, payload: Buffer): void {
    if (type === raw.TYPE.settings && (flags & raw.ACK) === 0) this.#socket.write(raw.settingsAck);
    if (type === raw.TYPE.ping && (flags & raw.ACK) === 0)
      this.#socket.write(raw.ping(payload.toString("latin1"), raw.ACK));
    if (type === raw.TYPE.rstStream) {
      this.#wasReset = true;
      this.#cut();
    }
    if (type === raw.TYPE.data) {
      const padding = (flags & raw.PADDED) === 0 ? 0 : 1 + (payload[0] ?? 0);
      const body = padding === 0 ? payload : payload.subarray(1, payload.length - padding + 1);
      if (body.length > 0) this.incoming.chunks.push(body);
      if ((flags & raw.END_STREAM) !== 0) this.#complete();
    }
    if (type === raw.TYPE.headers || type === raw.TYPE.continuation) this.#headers(type, flags, payload);
  }

  #headers(type: number, flags: number, payload: Buffer): void {
    if (type === raw.TYPE.headers) {
      const priority = (flags & raw.PRIORITY) === 0 ? 0 : 5;
      this.#block = [payload.subarray(priority)];
      this.#blockEndsStream = (flags & raw.END_STREAM) !== 0;
    } else {
      this.#block.push(payload);
    }
    if ((flags & raw.END_HEADERS) === 0) return;
    const block = Buffer.concat(this.#block);
    const fields = this.#decoder
      .decode(block, 0, block.length)
      .fields.map(({ name, value }): WireField => [name, value]);
    const interim = fields.some(([name, value]) => name === ":status" && /^1\d\d$/.test(value));
    if (this.incoming.fields !== undefined) this.incoming.trailers = fields;
    else if (!interim) this.incoming.fields = fields;
    if (this.#blockEndsStream) this.#complete();
  }

  #complete(): void {
    if (this.incoming.end === "open") this.incoming.end = "complete";
  }

  #cut(): void {
    if (this.incoming.end === "open") this.incoming.end = "cut";
  }
}
