import { connect as connectTcp, type Socket } from "node:net";
import { Http1Reader } from "./http1-reader.ts";
import { nothingReceived, type OnActivity, type WireField, type WireStream } from "./wire.ts";
import { listenForSockets, type WireListener } from "./wire-listener.ts";

const CRLF = "\r\n";

/** Opens an HTTP/1.1 connection for one request. */
export function openHttp1Client(port: number, onActivity: OnActivity): WireStream {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  return new Http1Stream(socket, { side: "client", onActivity });
}

/** Listens for the one request of an HTTP/1.1 exchange. `onStream` is called when its connection opens. */
export function listenHttp1(onStream: (stream: WireStream) => void, onActivity: OnActivity): Promise<WireListener> {
  return listenForSockets((socket) => onStream(new Http1Stream(socket, { side: "upstream", onActivity })));
}

interface Http1StreamOptions {
  readonly side: "client" | "upstream";
  readonly onActivity: OnActivity;
}

class Http1Stream implements WireStream {
  readonly incoming = nothingReceived();
  readonly #socket: Socket;
  readonly #side: "client" | "upstream";
  readonly #reader: Http1Reader;
  #chunked = false;

  constructor(socket: Socket, { side, onActivity }: Http1StreamOptions) {
    this.#socket = socket;
    this.#side = side;
    this.#reader = new Http1Reader(this.incoming, side === "client" ? "response" : "request");
    socket.on("data", (bytes: Buffer) => {
      this.#reader.read(bytes);
      onActivity();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#reader.close();
      onActivity();
    });
    socket.on("end", () => socket.end());
  }

  batch(write: () => void): void {
    this.#socket.cork();
    write();
    this.#socket.uncork();
  }

  head(
    fields: readonly WireField[],
    { endStream, isTunnel = false }: { readonly endStream: boolean; readonly isTunnel?: boolean },
  ): void {
    const value = (name: string) => fields.find(([candidate]) => candidate === name)?.[1];
    const plain = fields.filter(([name]) => !name.startsWith(":"));
    const lines = plain.map(([name, text]) => `${name}: ${text}`);
    const status = value(":status");
    const first =
      this.#side === "client"
        ? [`${value(":method")} ${value(":path") ?? value(":authority")} HTTP/1.1`, `host: ${value(":authority")}`]
        : [`HTTP/1.1 ${status} Scripted`];
    if (this.#side === "client") this.#reader.expectAnswerTo(value(":method") ?? "GET");
    this.#chunked = !endStream && !isTunnel && value("content-length") === undefined;
    if (this.#chunked) lines.push("transfer-encoding: chunked");
    this.#write([...first, ...lines, "", ""].join(CRLF));
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    const text = Buffer.from(bytes).toString("latin1");
    if (!this.#chunked) this.#write(text);
    else if (bytes.length > 0) this.#write(`${bytes.length.toString(16)}${CRLF}${text}${CRLF}`);
    if (this.#chunked && endStream) this.#write(`0${CRLF}${CRLF}`);
  }

  trailers(fields: readonly WireField[]): void {
    this.#write(["0", ...fields.map(([name, text]) => `${name}: ${text}`), "", ""].join(CRLF));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #write(text: string): void {
    if (!this.#socket.destroyed) this.#socket.write(text, "latin1");
  }
}
