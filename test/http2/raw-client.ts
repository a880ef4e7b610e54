import type { Duplex } from "node:stream";
import { ACK, PREFACE, ping, settings, settingsAck, TYPE } from "./raw-frames.ts";

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A client that sends any bytes and records every frame that it gets. */
export class RawClient {
  readonly frames: ReceivedFrame[] = [];
  readonly socket: Duplex;
  isClosed = false;
  receivedBytes = 0;
  #rest = Buffer.alloc(0);
  #waiting: (() => void)[] = [];
  #pings = 0;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.isClosed = true;
        this.#wake();
      });
    }
  }

  send(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Preface, SETTINGS, and the acknowledgement of the server's. */
  async handshake(...pairs: readonly (readonly [id: number, value: number])[]): Promise<void> {
    this.send(PREFACE, settings(...pairs), settingsAck);
    await this.until((f) => f.type === TYPE.settings && f.flags === ACK);
  }

  /** The first matching frame, now or later. Fails if the connection ends without one. */
  async until(matches: (frame: ReceivedFrame) => boolean): Promise<ReceivedFrame> {
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      if (this.isClosed) throw new Error(`the connection ended; received: ${JSON.stringify(this.frames.map(brief))}`);
      await this.#more();
    }
  }

  /** Resolves when the server has ended the connection. */
  async closed(): Promise<void> {
    while (!this.isClosed) await this.#more();
  }

  /** Resolves when the server has read everything sent so far, and its answers have arrived. */
  async roundTrip(): Promise<void> {
    const payload = `ping${String(this.#pings++).padStart(4, "0")}`;
    this.send(ping(payload));
    await this.until((f) => f.type === TYPE.ping && f.flags === ACK && f.payload.toString("latin1") === payload);
  }

  /** The GOAWAY of a connection error. */
  async goaway(): Promise<{ lastId: number; code: number; debug: string }> {
    const { payload } = await this.until((f) => f.type === TYPE.goaway);
    return { lastId: payload.readUInt32BE(0), code: payload.readUInt32BE(4), debug: payload.toString("latin1", 8) };
  }

  async resetCode(id: number): Promise<number> {
    return (await this.until((f) => f.type === TYPE.rstStream && f.id === id)).payload.readUInt32BE(0);
  }

  /** The bytes of all DATA of a stream. */
  body(id: number): Buffer {
    return Buffer.concat(this.frames.filter((f) => f.type === TYPE.data && f.id === id).map((f) => f.payload));
  }

  has(type: number, id: number): boolean {
    return this.frames.some((f) => f.type === type && f.id === id);
  }

  /** Resolves when the stream's END_STREAM has come. */
  async ended(id: number): Promise<void> {
    await this.until((f) => f.id === id && (f.type === TYPE.data || f.type === TYPE.headers) && (f.flags & 1) === 1);
  }

  #read(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      const end = 9 + bytes.readUIntBE(0, 3);
      const [type = 0, flags = 0] = bytes.subarray(3, 5);
      this.frames.push({ type, flags, id: bytes.readUInt32BE(5), payload: Buffer.from(bytes.subarray(9, end)) });
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
    this.#wake();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function brief({ type, flags, id, payload }: ReceivedFrame): string {
  return `${type}/${flags}/${id}/${payload.toString("hex").slice(0, 40)}`;
}
