// An HTTP/2 connection that sends any bytes, and reads only what an attack or a measurement needs.
import { once } from "node:events";
import { connect } from "node:net";
import { ACK, PREFACE, SETTINGS_ACK, settings, TYPE } from "../soak/frames.mjs";
import { pong } from "../soak/messages.mjs";

/** What the server sent. @typedef {{ type: number, flags: number, id: number, payload: Buffer }} Frame */

export class RawConnection {
  /** Why the connection is over: undefined while it is open. @type {string | undefined} */
  ending;
  /** @type {import("node:net").Socket} */
  socket;
  /** @type {(frame: Frame) => void} */
  onFrame = () => {};
  /** @type {() => void} */
  onClose = () => {};
  #rest = Buffer.alloc(0);
  /** @type {Promise<void> | undefined} */
  #drain;

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", (error) => this.#end(/** @type {NodeJS.ErrnoException} */ (error).code ?? error.message));
    socket.on("close", () => this.#end("closed"));
  }

  /**
   * Connects, and sends the preface with these settings.
   *
   * @param {number} port
   * @param {Readonly<Record<number, number>>} [values]
   */
  static async open(port, values = {}) {
    const socket = connect(port, "127.0.0.1");
    const connection = new RawConnection(socket);
    await once(socket, "connect");
    void connection.send(PREFACE, settings(values), SETTINGS_ACK);
    return connection;
  }

  get isOpen() {
    return this.ending === undefined;
  }

  /**
   * Resolves when the kernel has taken the bytes, or the connection is over.
   *
   * @param {...Uint8Array} frames
   * @returns {Promise<void>}
   */
  async send(...frames) {
    if (!this.isOpen) return;
    const bytes = frames.length === 1 ? /** @type {Uint8Array} */ (frames[0]) : Buffer.concat(frames);
    if (!this.socket.write(bytes)) await this.#drained();
  }

  /** One promise for all who wait. @returns {Promise<void>} */
  #drained() {
    this.#drain ??= new Promise((resolve) => {
      const done = () => {
        this.#drain = undefined;
        this.socket.off("drain", done).off("close", done);
        resolve();
      };
      this.socket.once("drain", done).once("close", done);
    });
    return this.#drain;
  }

  /** Resolves when the connection is over, with the reason. @returns {Promise<string>} */
  async closed() {
    if (this.isOpen) await once(this.socket, "close");
    return this.ending ?? "closed";
  }

  close() {
    this.ending ??= "closed by us";
    this.socket.destroy();
  }

  /** @param {string} reason */
  #end(reason) {
    this.ending ??= reason;
    this.onClose();
    this.onClose = () => {};
  }

  /** @param {Buffer} chunk */
  #read(chunk) {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const end = 9 + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame({
        type: bytes[3] ?? 0,
        flags: bytes[4] ?? 0,
        id: bytes.readUInt32BE(5),
        payload: bytes.subarray(9, end),
      });
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
  }

  /** @param {Frame} frame */
  #frame(frame) {
    if (frame.type === TYPE.ping && frame.flags !== ACK) void this.send(pong(frame.payload));
    if (frame.type === TYPE.goaway) {
      const code = frame.payload.readUInt32BE(4);
      if (code !== 0) this.ending ??= `GOAWAY ${ERROR_NAMES[code] ?? code}`;
    }
    this.onFrame(frame);
  }
}

/** Error codes of RFC 9113 section 7, by their number. A copy on purpose: the suite does not rely on the code that it attacks. */
const ERROR_NAMES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
];

/**
 * Which error a RST_STREAM frame names, such as `RST_STREAM CANCEL`.
 *
 * @param {Frame} frame
 */
export function resetName(frame) {
  return `RST_STREAM ${ERROR_NAMES[frame.payload.readUInt32BE(0)] ?? "unknown"}`;
}
