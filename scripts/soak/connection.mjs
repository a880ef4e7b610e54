import { once } from "node:events";
import { connect } from "node:net";
import { ACK, END_STREAM, TYPE, windowUpdate } from "./frames.mjs";
import { HALF_CLOSE, HANDSHAKE, OPEN, pong, RESET, RESPONSE, withId } from "./messages.mjs";

/** Credit given back at a time; the window is twice that. */
const CREDIT_BYTES = 1 << 24;

/** One HTTP/2 connection that opens ext_proc streams, and fails loudly where the server does what it should not. */
export class SoakConnection {
  /** Streams that are over. */
  finished = 0;
  /** Streams whose first answer has come. */
  answered = 0;
  /** @type {import("node:net").Socket} */
  #socket;
  #nextId = 1;
  #left = 0;
  #keepOpen = false;
  #receivedBytes = 0;
  #rest = Buffer.alloc(0);
  /** Answers of each stream that is open. @type {Map<number, number>} */
  #answers = new Map();
  /** @type {Buffer[]} */
  #out = [];
  #done = () => {};
  /** @type {(error: Error) => void} */
  #fail = () => {};

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.write(Buffer.concat([HANDSHAKE, windowUpdate(0, 2 * CREDIT_BYTES - 65_535)]));
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed a connection")));
  }

  /** @param {number} port */
  static async open(port) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new SoakConnection(socket);
  }

  /**
   * Runs `streams` whole transactions, `inFlight` of them at a time: every other one is reset when it is done, as Envoy
   * does it, the others are ended.
   *
   * @param {number} streams
   * @param {number} inFlight
   * @returns {Promise<void>}
   */
  run(streams, inFlight) {
    return this.#begin(streams, Math.min(inFlight, streams), false);
  }

  /**
   * Opens `streams` and leaves them open, behind the answer to their first message.
   *
   * @param {number} streams
   * @returns {Promise<void>}
   */
  hold(streams) {
    return this.#begin(streams, streams, true);
  }

  close() {
    this.#fail = () => {};
    this.#socket.destroy();
  }

  /**
   * @param {number} streams
   * @param {number} atOnce
   * @param {boolean} keepOpen
   * @returns {Promise<void>}
   */
  #begin(streams, atOnce, keepOpen) {
    this.#left = streams;
    this.#keepOpen = keepOpen;
    this.finished = 0;
    this.answered = 0;
    const done = new Promise((resolve, reject) => {
      this.#done = () => resolve(undefined);
      this.#fail = reject;
    });
    for (let n = 0; n < atOnce; n++) this.#open();
    this.#flush();
    return done.then(() => undefined);
  }

  #open() {
    if (this.#left === 0) return;
    this.#left--;
    this.#answers.set(this.#nextId, 0);
    this.#out.push(withId(OPEN, this.#nextId));
    this.#nextId += 2;
  }

  #flush() {
    if (this.#out.length > 0) this.#socket.write(Buffer.concat(this.#out.splice(0)));
  }

  /** @param {Buffer} chunk */
  #read(chunk) {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const end = 9 + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
    this.#flush();
  }

  /** @param {Buffer} frame */
  #frame(frame) {
    const [type, flags = 0] = frame.subarray(3, 5);
    const id = frame.readUInt32BE(5);
    if (type === TYPE.goaway) this.#fail(new Error(`GOAWAY: ${frame.subarray(17).toString("latin1")}`));
    else if (type === TYPE.rstStream) this.#fail(new Error(`RST_STREAM with code ${frame.readUInt32BE(9)}`));
    else if (type === TYPE.ping && flags !== ACK) this.#out.push(pong(frame.subarray(9)));
    else if (type === TYPE.data) this.#credit(frame.length - 9);
    if (!this.#answers.has(id)) return;
    if (type === TYPE.data && frame.length > 9) this.#answered(id);
    // The end, which only those have that were not reset.
    if ((type === TYPE.data || type === TYPE.headers) && (flags & END_STREAM) !== 0) this.#finish(id);
  }

  /** @param {number} id */
  #answered(id) {
    const answers = (this.#answers.get(id) ?? 0) + 1;
    this.#answers.set(id, answers);
    if (answers === 1) {
      this.answered++;
      if (!this.#keepOpen) this.#out.push(withId(RESPONSE, id));
      else if (this.answered === this.#answers.size && this.#left === 0) this.#done();
    } else if (id % 4 === 1) {
      this.#out.push(withId(RESET, id));
      this.#finish(id);
    } else {
      this.#out.push(withId(HALF_CLOSE, id));
    }
  }

  /** @param {number} id */
  #finish(id) {
    const answers = this.#answers.get(id);
    this.#answers.delete(id);
    if (answers !== 2) this.#fail(new Error(`a stream ended behind ${answers} of 2 answers`));
    this.finished++;
    this.#open();
    if (this.#answers.size === 0) this.#done();
  }

  /** @param {number} bytes */
  #credit(bytes) {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes < CREDIT_BYTES) return;
    this.#out.push(windowUpdate(0, this.#receivedBytes));
    this.#receivedBytes = 0;
  }
}
