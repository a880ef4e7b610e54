import type { Socket } from "node:net";
import { PREFACE } from "../../http2/frames.ts";

/** The protocol of a connection. */
export type Protocol = "http1" | "http2";

/** Why the protocol of a connection is not known. */
export type SniffFailure = "first_bytes_timeout" | "tls_on_plaintext_port" | "unknown_protocol";

/** The bytes of HTTP/2's preface that distinguish it from a request: no HTTP/1.1 method is called PRI. */
const PREFACE_METHOD_BYTES = "PRI ".length;

/** The first line of an HTTP/1.1 request (RFC 9112 3). */
const REQUEST_LINE = /^[A-Z]+ \S+ HTTP\/1\.\d\r?\n/;

/** Longest request line. It is Node's limit for a whole head; above it Node answers 431. */
const MAX_REQUEST_LINE_BYTES = 16 * 1024;

/**
 * Timeout for the first bytes of a connection. Envoy sends HTTP/2's preface when it connects; 10 s is enough for an
 * Envoy with little CPU time. A TLS handshake has the same timeout.
 */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

/** Content type of a TLS handshake record, the first byte of a TLS connection (RFC 8446 5.1). */
const TLS_HANDSHAKE = 22;
const TLS_MAJOR_VERSION = 3;

const [A, Z, SPACE, NEWLINE] = [..."AZ \n"].map((character) => character.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
];

/** Recognizes the protocol of a connection from its first bytes. Reads each byte once. */
export class ProtocolRecognizer {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** The number of bytes of HTTP/2's preface so far; undefined if the connection began differently. */
  #prefaceBytes: number | undefined = 0;
  #hasMethod = false;

  /** All received bytes. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }

  /** Takes the next bytes of the connection. Returns undefined while both protocols are still possible. */
  push(chunk: Buffer): Protocol | Exclude<SniffFailure, "first_bytes_timeout"> | undefined {
    const isFirst = this.#length === 0;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (isFirst && chunk[0] === TLS_HANDSHAKE && (chunk[1] ?? TLS_MAJOR_VERSION) === TLS_MAJOR_VERSION)
      return "tls_on_plaintext_port";
    let at = 0;
    if (this.#prefaceBytes !== undefined) {
      const before = this.#prefaceBytes;
      const rest = Math.min(chunk.length, PREFACE.length - before);
      while (at < rest && chunk[at] === PREFACE[before + at]) at++;
      this.#prefaceBytes += at;
      if (this.#prefaceBytes === PREFACE.length) return "http2";
      if (at === chunk.length) return undefined;
      if (this.#prefaceBytes >= PREFACE_METHOD_BYTES) return "unknown_protocol";
      this.#prefaceBytes = undefined;
    }
    return this.#requestLine(chunk, at);
  }

  #requestLine(chunk: Buffer, start: number): Protocol | "unknown_protocol" | undefined {
    for (let at = start; !this.#hasMethod && at < chunk.length; at++) {
      const byte = chunk[at] as number;
      const isFirst = at === 0 && chunk.length === this.#length;
      if (byte === SPACE && !isFirst) this.#hasMethod = true;
      else if (byte < A || byte > Z) return "unknown_protocol";
    }
    if (chunk.indexOf(NEWLINE, start) >= 0)
      return REQUEST_LINE.test(this.bytes.toString("latin1")) ? "http1" : "unknown_protocol";
    return this.#length < MAX_REQUEST_LINE_BYTES ? undefined : "http1";
  }
}

/** Callbacks of {@link sniffProtocol}. */
export interface SniffEvents {
  found(protocol: Protocol): void;
  /** Called before the connection is closed. */
  failed?(reason: SniffFailure): void;
}

/**
 * Distinguishes HTTP/2 with prior knowledge from HTTP/1.1 by the preface or the request line, which stays in the
 * socket. A connection that begins with neither is closed without an answer, because a client of another protocol would
 * misread an HTTP error. A silent connection is closed too.
 */
export function sniffProtocol(
  socket: Socket,
  { found, failed }: SniffEvents,
  timeoutMs: number = FIRST_BYTES_TIMEOUT_MS,
): void {
  const recognizer = new ProtocolRecognizer();
  let isDone = false;
  const giveUp = () => socket.destroy();
  // This is not the socket's own timeout, because every byte would restart that.
  const deadline = setTimeout(() => {
    // If the process itself was blocked, the bytes may wait in the socket. They are read before this runs.
    setImmediate(() => {
      if (isDone || socket.destroyed) return;
      failed?.("first_bytes_timeout");
      giveUp();
    });
  }, timeoutMs);
  const look = () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      const protocol = recognizer.push(chunk);
      if (protocol === undefined) continue;
      isDone = true;
      clearTimeout(deadline);
      socket.off("readable", look).off("end", giveUp);
      if (protocol !== "http1" && protocol !== "http2") {
        failed?.(protocol);
        giveUp();
        return;
      }
      socket.unshift(recognizer.bytes);
      found(protocol);
      return;
    }
  };
  socket.once("close", () => clearTimeout(deadline));
  socket.on("end", giveUp).on("readable", look);
}
