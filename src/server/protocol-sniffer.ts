import type { Socket } from "node:net";

/** What a connection speaks. */
export type Protocol = "http1" | "http2";

/** HTTP/2's connection preface (RFC 9113 3.4). */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** The first line of an HTTP/1.1 request (RFC 9112 3). */
const REQUEST_LINE = /^[A-Z]+ \S+ HTTP\/1\.\d\r?\n/;

/** Longest request line that is waited for. Node's limit for a whole head; it answers 431 beyond. */
const MAX_REQUEST_LINE_BYTES = 16 * 1024;

/** How long a peer may take to say what it speaks. An Envoy short of CPU can open a connection and be slow to use it. */
const FIRST_BYTES_TIMEOUT_MS = 60_000;

/**
 * Tells HTTP/2 with prior knowledge from HTTP/1.1 by the preface or the request line, which it leaves in the socket.
 * What begins with neither is closed without a byte, since a peer that speaks another protocol would misread an
 * HTTP error, and so is what stays silent.
 */
export function sniffProtocol(
  socket: Socket,
  found: (protocol: Protocol) => void,
  timeoutMs: number = FIRST_BYTES_TIMEOUT_MS,
): void {
  let start = Buffer.alloc(0);
  const giveUp = () => socket.destroy();
  // Not the socket's own time-out, which every byte would put off.
  const deadline = setTimeout(giveUp, timeoutMs);
  const look = () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      start = Buffer.concat([start, chunk]);
    }
    const protocol = recognize(start.toString("latin1"));
    if (protocol === "neither") {
      socket.destroy();
    } else if (protocol !== undefined) {
      clearTimeout(deadline);
      socket.off("readable", look).off("end", giveUp);
      socket.unshift(start);
      found(protocol);
    }
  };
  socket.once("close", () => clearTimeout(deadline));
  socket.on("end", giveUp).on("readable", look);
}

/** Undefined while it can still be either. */
function recognize(start: string): Protocol | "neither" | undefined {
  if (start.startsWith(PREFACE)) return "http2";
  if (PREFACE.startsWith(start)) return undefined;
  // No HTTP/1.1 method is called PRI, so that the preface can be told from a request.
  if (start.startsWith("PRI ")) return "neither";
  if (start.includes("\n")) return REQUEST_LINE.test(start) ? "http1" : "neither";
  if (!/^[A-Z]+(?: |$)/.test(start)) return "neither";
  return start.length < MAX_REQUEST_LINE_BYTES ? undefined : "http1";
}
