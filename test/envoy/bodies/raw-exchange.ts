import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";
import { Http1Reader } from "../../differential/http1-reader.ts";
import { type IncomingMessage, nothingReceived } from "../../differential/wire.ts";

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

/** An upstream on bare sockets that answers each request, which may have no body, with the bytes that its path names. */
export interface ScriptedUpstream {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts it; `responses` has whole responses, as bytes, by path. */
export async function startScriptedUpstream(responses: Readonly<Record<string, string>>): Promise<ScriptedUpstream> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let waiting = "";
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (text: string) => {
      waiting += text;
      for (let end = waiting.indexOf("\r\n\r\n"); end >= 0; end = waiting.indexOf("\r\n\r\n")) {
        const [, path = ""] = waiting.slice(0, end).split(" ");
        waiting = waiting.slice(end + 4);
        socket.write(responses[path] ?? "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "latin1");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
