// Honest traffic, in a process of its own so that an attacker's work does not delay its clocks: `node honest.mjs envoy|main PORT
// PER_SECOND`. It sends until it is ended; each message from the parent is answered with what was seen since the one before.
import { END_STREAM, TYPE, windowUpdate } from "../soak/frames.mjs";
import { OPEN, RESET, RESPONSE, withId } from "../soak/messages.mjs";
import { KeptSocket } from "./http1-client.mjs";
import { RawConnection, resetName } from "./http2-connection.mjs";
import { atRate, HonestTally } from "./latency.mjs";

const TIMEOUT_MS = 5000;
/** Connections that share the requests, as an Envoy's workers do. */
const CONNECTIONS = 2;
const INITIAL_WINDOW_SIZE = 4;
/** Requests until one is for the guarded path, and until one has a body. */
const FORBIDDEN_EVERY = 10;
const BODY_EVERY = 4;

const [kind, port, perSecond] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const tally = new HonestTally();
let isOver = false;

process.on("message", () => process.send?.(tally.take()));
process.on("disconnect", () => {
  isOver = true;
  process.exit(0);
});

/** Requests through a real Envoy: most pass, some are for the guarded path and must be refused. */
async function throughEnvoy() {
  const body = JSON.stringify({ items: Array.from({ length: 40 }, (_, id) => ({ id, name: "honest" })) });
  /** @type {KeptSocket[]} */
  const idle = [];
  let count = 0;
  const start = (/** @type {number} */ dueMs) => {
    count++;
    const isForbidden = count % FORBIDDEN_EVERY === 0;
    const head = `${isForbidden ? "/forbidden" : "/honest"} HTTP/1.1\r\nhost: honest.test\r\n`;
    const fields = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const text = count % BODY_EVERY === 1 ? `POST ${head}${fields}` : `GET ${head}\r\n`;
    const socket = idle.pop() ?? new KeptSocket(port);
    void socket.ask(text, TIMEOUT_MS).then((answer) => {
      if (socket.isOpen) idle.push(socket);
      const [status, isGuarded] = [/^\d{3}/.exec(answer)?.[0], answer.includes("x-guarded: yes")];
      if (isForbidden ? status === "403" : status === "200" && isGuarded) tally.succeeded(performance.now() - dueMs);
      else tally.failed(status === "200" ? "200 without the processor" : (status ?? answer));
    });
  };
  await atRate(perSecond, start, () => isOver);
}

/** Transactions on connections like an Envoy's: two messages, two answers, and Envoy's reset. */
async function asEnvoy() {
  const peers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Peer.open()));
  let count = 0;
  const start = (/** @type {number} */ dueMs) => {
    const index = count++ % CONNECTIONS;
    const peer = peers[index];
    if (peer?.isOpen) peer.start(dueMs);
    else {
      tally.failed(`no connection: ${peer?.ending}`);
      // The server has ended it, which an honest Envoy must not see; it connects again.
      if (peer !== undefined && !peer.isReplaced) {
        peer.isReplaced = true;
        Peer.open()
          .then((fresh) => peers.splice(index, 1, fresh))
          .catch(() => setTimeout(() => (peer.isReplaced = false), 100));
      }
    }
  };
  const sweep = setInterval(() => {
    for (const peer of peers) peer.sweep();
  }, 500);
  await atRate(perSecond, start, () => isOver);
  clearInterval(sweep);
}

/** One connection to the main port. */
class Peer {
  isReplaced = false;
  #connection;
  #nextId = 1;
  #receivedBytes = 0;
  /** Streams that wait for an answer. @type {Map<number, { dueMs: number, answers: number }>} */
  #waiting = new Map();

  static async open() {
    return new Peer(await RawConnection.open(port, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff }));
  }

  /** @param {RawConnection} connection */
  constructor(connection) {
    this.#connection = connection;
    connection.onFrame = (frame) => this.#frame(frame);
    connection.onClose = () => {
      for (const id of this.#waiting.keys()) this.#fail(id, `connection: ${connection.ending}`);
    };
  }

  get isOpen() {
    return this.#connection.isOpen;
  }

  get ending() {
    return this.#connection.ending;
  }

  /** @param {number} dueMs */
  start(dueMs) {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#waiting.set(id, { dueMs, answers: 0 });
    void this.#connection.send(withId(OPEN, id));
  }

  /** Gives up on what waits for too long. */
  sweep() {
    const oldestMs = performance.now() - TIMEOUT_MS;
    for (const [id, { dueMs }] of this.#waiting) if (dueMs < oldestMs) this.#fail(id, "timeout");
  }

  /** @param {import("./http2-connection.mjs").Frame} frame */
  #frame({ type, flags, id, payload }) {
    if (type === TYPE.data) this.#credit(payload.length);
    const stream = this.#waiting.get(id);
    if (stream === undefined) return;
    if (type === TYPE.rstStream) this.#fail(id, resetName({ type, flags, id, payload }));
    else if (type === TYPE.data && payload.length > 0) {
      stream.answers++;
      if (stream.answers === 1) void this.#connection.send(withId(RESPONSE, id));
      else {
        this.#waiting.delete(id);
        tally.succeeded(performance.now() - stream.dueMs);
        void this.#connection.send(withId(RESET, id));
      }
    } else if ((flags & END_STREAM) !== 0) this.#fail(id, "ended early");
  }

  /**
   * @param {number} id
   * @param {string} reason
   */
  #fail(id, reason) {
    this.#waiting.delete(id);
    tally.failed(reason);
  }

  /** @param {number} bytes */
  #credit(bytes) {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes < 16_384) return;
    void this.#connection.send(windowUpdate(0, this.#receivedBytes));
    this.#receivedBytes = 0;
  }
}

if (kind === "envoy") await throughEnvoy();
else await asEnvoy();
