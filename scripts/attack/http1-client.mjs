// A connection that sends any bytes as HTTP/1.1 and reads status lines.
import { once } from "node:events";
import { connect } from "node:net";

/**
 * Sends `head` and `body`, and resolves with the status of the answer, or with how the connection ended.
 *
 * @param {number} port
 * @param {string | Uint8Array} head
 * @param {{ body?: Uint8Array, leaveAfterMs?: number, timeoutMs?: number }} [options] `leaveAfterMs`: closes the connection
 *   that long after everything was sent.
 * @returns {Promise<string>}
 */
export function ask(port, head, { body, leaveAfterMs, timeoutMs = 10_000 } = {}) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let ending = "closed";
    let received = "";
    const timer = setTimeout(() => finish("no answer"), timeoutMs);
    const finish = (/** @type {string} */ outcome) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    socket.on("connect", () => {
      socket.write(head);
      const sent = () => {
        if (leaveAfterMs !== undefined) setTimeout(() => finish("left"), leaveAfterMs);
      };
      if (body === undefined) sent();
      else socket.write(body, sent);
    });
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      const [, status] = /^HTTP\/1\.1 (\d{3})[^\n]*\n/.exec(received) ?? [];
      if (status !== undefined && status !== "100") finish(status);
    });
    socket.on("error", (error) => {
      ending = /** @type {NodeJS.ErrnoException} */ (error).code ?? error.message;
    });
    socket.on("close", () => finish(ending));
  });
}

/** A connection that is kept for one request after the other. */
export class KeptSocket {
  isOpen = true;
  #socket;
  #received = "";
  /** @type {(answer: string) => void} */
  #settle = () => {};

  /** @param {number} port */
  constructor(port) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.setNoDelay(true).setEncoding("latin1");
    this.#socket.on("data", (text) => this.#read(String(text)));
    this.#socket.on("error", (error) => this.#end(/** @type {NodeJS.ErrnoException} */ (error).code ?? error.message));
    this.#socket.on("close", () => this.#end("closed"));
  }

  /**
   * Resolves with the answer from its status on, or with how the connection ended.
   *
   * @param {string} text
   * @param {number} timeoutMs
   * @returns {Promise<string>}
   */
  ask(text, timeoutMs) {
    this.#received = "";
    this.#socket.write(text);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end("timeout"), timeoutMs);
      this.#settle = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
    });
  }

  /** @param {string} text */
  #read(text) {
    this.#received += text;
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(this.#received) ?? [];
    const isWhole =
      length === undefined
        ? this.#received.endsWith("0\r\n\r\n")
        : this.#received.length >= headEnd + 4 + Number(length);
    if (isWhole) this.#settle(this.#received.slice("HTTP/1.1 ".length));
  }

  /** @param {string} reason */
  #end(reason) {
    this.isOpen = false;
    this.#socket.destroy();
    this.#settle(reason);
  }
}

/**
 * The head of a POST through Envoy.
 *
 * @param {Readonly<Record<string, string | number>>} fields
 * @param {string} [path]
 */
export function postHead(fields, path = "/attack") {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\nhost: attack.test\r\n${lines.join("")}\r\n`;
}

/**
 * Opens a connection; undefined if it is refused.
 *
 * @param {number} port
 */
export async function openSocket(port) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  try {
    await once(socket, "connect");
    return socket;
  } catch {
    return undefined;
  }
}
