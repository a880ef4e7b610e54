import { connect } from "node:net";
import { Http1Reader } from "../../differential/http1-reader.ts";
import { type IncomingMessage, nothingReceived } from "../../differential/wire.ts";
import { type BareUpstream, startBareUpstream } from "../bare-upstream.ts";

/** Sends bytes on one connection, and reads so many responses off it, each as its framing headers say. */
export async function readResponses(port: number, sent: string, count: number): Promise<readonly IncomingMessage[]> {
  const socket = connect(port, "127.0.0.1");
  const responses: IncomingMessage[] = [];
  try {
    await new Promise<void>((resolve) => {
      let current = open(responses);
      socket.on("error", () => resolve());
      socket.on("close", () => {
        current.close();
        resolve();
      });
      socket.on("data", (bytes: Buffer) => {
        current.read(bytes);
        while (responses.at(-1)?.end === "complete") {
          const rest = Buffer.concat(responses.at(-1)?.surplus.splice(0) ?? []);
          if (responses.length === count) {
            if (rest.length > 0) responses.at(-1)?.surplus.push(rest);
            return resolve();
          }
          current = open(responses);
          current.read(rest);
        }
      });
      socket.write(sent, "latin1");
    });
  } finally {
    socket.destroy();
  }
  return responses;
}

function open(responses: IncomingMessage[]): Http1Reader {
  const message = nothingReceived();
  responses.push(message);
  return new Http1Reader(message, "response");
}

/**
 * Starts an upstream that answers each request, which may have no body, with the bytes that its path names.
 *
 * @param responses Whole responses, as bytes, by path.
 */
export function startScriptedUpstream(responses: Readonly<Record<string, string>>): Promise<BareUpstream> {
  return startBareUpstream((waiting, socket) => {
    let left = waiting;
    for (let end = left.indexOf("\r\n\r\n"); end >= 0; end = left.indexOf("\r\n\r\n")) {
      const [, path = ""] = left.slice(0, end).split(" ");
      left = left.slice(end + 4);
      socket.write(responses[path] ?? "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "latin1");
    }
    return left;
  });
}
