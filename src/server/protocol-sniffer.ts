import type { Socket } from "node:net";

/** What a connection speaks. */
export type Protocol = "http1" | "http2";

/** The first bytes of HTTP/2's connection preface (RFC 9113 3.4); no HTTP/1.1 method begins like this. */
const PREFACE_START = "PRI";

/** How long a peer may take to say its first three bytes. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

/**
 * Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first three bytes, which it leaves in the socket. What is
 * neither is closed without a byte, since a peer that speaks another protocol would misread an HTTP error.
 */
export function sniffProtocol(socket: Socket, found: (protocol: Protocol) => void): void {
  let start = Buffer.alloc(0);
  const giveUp = () => socket.destroy();
  const look = () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      start = Buffer.concat([start, chunk]);
    }
    const known = start.subarray(0, PREFACE_START.length).toString("latin1");
    // An HTTP/1.1 request line begins with a method in capitals.
    if (!/^[A-Z]*$/.test(known)) {
      socket.destroy();
    } else if (known.length === PREFACE_START.length) {
      socket.off("readable", look).off("end", giveUp).off("timeout", giveUp).setTimeout(0);
      socket.unshift(start);
      found(known === PREFACE_START ? "http2" : "http1");
    }
  };
  socket.setTimeout(FIRST_BYTES_TIMEOUT_MS).on("timeout", giveUp).on("end", giveUp).on("readable", look);
}
