// Sends DATA as the server's windows allow, on many streams of one connection.
import { data, TYPE } from "../soak/frames.mjs";

const DEFAULT_WINDOW_BYTES = 65_535;
const INITIAL_WINDOW_SIZE = 4;
const MAX_FRAME_BYTES = 16_384;

/** @typedef {{ windowBytes: number, queue: Buffer, isOver: boolean }} SendingStream */

export class WindowedSender {
  #connection;
  #windowBytes = DEFAULT_WINDOW_BYTES;
  #initialBytes = DEFAULT_WINDOW_BYTES;
  /** @type {Map<number, SendingStream>} */
  #streams = new Map();

  /** @param {import("./http2-connection.mjs").RawConnection} connection */
  constructor(connection) {
    this.#connection = connection;
    const { onFrame } = connection;
    connection.onFrame = (frame) => {
      this.#frame(frame);
      onFrame(frame);
    };
  }

  /**
   * Puts bytes behind those that wait, and sends what fits.
   *
   * @param {number} id
   * @param {Buffer} bytes
   */
  send(id, bytes) {
    const stream = this.#streams.get(id) ?? { windowBytes: this.#initialBytes, queue: Buffer.alloc(0), isOver: false };
    this.#streams.set(id, stream);
    stream.queue = stream.queue.length === 0 ? bytes : Buffer.concat([stream.queue, bytes]);
    this.#flush(id, stream);
  }

  /** @param {import("./http2-connection.mjs").Frame} frame */
  #frame({ type, flags, id, payload }) {
    const stream = this.#streams.get(id);
    if (type === TYPE.rstStream && stream !== undefined) {
      stream.isOver = true;
      stream.queue = Buffer.alloc(0);
    } else if (type === TYPE.settings && flags === 0) {
      this.#settings(payload);
    } else if (type === TYPE.windowUpdate) {
      const credit = payload.readUInt32BE(0);
      if (id === 0) this.#windowBytes += credit;
      else if (stream !== undefined) stream.windowBytes += credit;
      if (id === 0) for (const [each, waiting] of this.#streams) this.#flush(each, waiting);
      else if (stream !== undefined) this.#flush(id, stream);
    }
  }

  /** @param {Buffer} payload */
  #settings(payload) {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== INITIAL_WINDOW_SIZE) continue;
      const change = payload.readUInt32BE(at + 2) - this.#initialBytes;
      this.#initialBytes += change;
      for (const [id, stream] of this.#streams) {
        stream.windowBytes += change;
        this.#flush(id, stream);
      }
    }
  }

  /**
   * @param {number} id
   * @param {SendingStream} stream
   */
  #flush(id, stream) {
    while (!stream.isOver && stream.queue.length > 0) {
      const fits = Math.min(stream.queue.length, stream.windowBytes, this.#windowBytes, MAX_FRAME_BYTES);
      if (fits <= 0) return;
      void this.#connection.send(data(id, stream.queue.subarray(0, fits)));
      stream.queue = stream.queue.subarray(fits);
      stream.windowBytes -= fits;
      this.#windowBytes -= fits;
    }
  }
}
