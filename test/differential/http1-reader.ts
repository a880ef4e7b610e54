import type { IncomingMessage, WireField } from "./wire.ts";

type State = "head" | "sized" | "chunk size" | "chunk" | "chunk end" | "trailers" | "until close" | "done";

/**
 * Reads one HTTP/1.1 message off a connection, as its framing headers say, and keeps what comes after it: those are the
 * bytes that a server would take for another request. Pseudo-headers are made of the first line and `host`.
 */
export class Http1Reader {
  readonly #message: IncomingMessage;
  readonly #kind: "request" | "response";
  #state: State = "head";
  #bytes: Buffer = Buffer.alloc(0);
  #left = 0;
  #method = "GET";

  constructor(message: IncomingMessage, kind: "request" | "response") {
    this.#message = message;
    this.#kind = kind;
  }

  /** The response to come has no body where the method is HEAD. */
  expectAnswerTo(method: string): void {
    this.#method = method;
  }

  read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#step());
  }

  /** The connection is gone. */
  close(): void {
    // A request has an end, or none.
    const isOpen = this.#message.end === "open";
    if (isOpen && this.#state === "until close" && this.#kind === "response") this.#complete();
    if (this.#message.end === "open") this.#message.end = "cut";
  }

  /** True while there may be more to read in what is there. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "sized":
      case "chunk":
        return this.#readCounted();
      case "chunk size":
        return this.#readChunkSize();
      case "chunk end":
        return this.#line(() => {
          this.#state = "chunk size";
        });
      case "trailers":
        return this.#line((line) => {
          if (line === "") this.#complete();
          else this.#message.trailers.push(field(line));
        });
      case "until close":
        if (this.#bytes.length > 0) this.#message.chunks.push(this.#take(this.#bytes.length));
        return false;
      case "done":
        if (this.#bytes.length > 0) this.#message.surplus.push(this.#take(this.#bytes.length));
        return false;
    }
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [first = "", ...lines] = this.#take(end + 4)
      .toString("latin1")
      .trimEnd()
      .split("\r\n");
    const fields = lines.map(field);
    const parts = first.split(" ");
    // An interim response.
    if (this.#kind === "response" && /^1\d\d$/.test(parts[1] ?? "") && parts[1] !== "101") return true;
    this.#message.fields = [...this.#pseudoHeaders(parts, fields), ...fields.filter(([name]) => name !== "host")];
    this.#frame(fields, parts[1] ?? "");
    return true;
  }

  #pseudoHeaders(parts: readonly string[], fields: readonly WireField[]): WireField[] {
    if (this.#kind === "response") return [[":status", parts[1] ?? ""]];
    const host = fields.find(([name]) => name === "host")?.[1] ?? "";
    if (parts[0] === "CONNECT")
      return [
        [":method", "CONNECT"],
        [":authority", parts[1] ?? ""],
      ];
    // A path with blanks in it, which Envoy does not check.
    const path = parts.slice(1, -1).join(" ");
    return [
      [":method", parts[0] ?? ""],
      [":path", path],
      [":authority", host],
    ];
  }

  #frame(fields: readonly WireField[], status: string): void {
    const value = (name: string) => fields.find(([candidate]) => candidate === name)?.[1];
    const bodyless = this.#kind === "response" && (this.#method === "HEAD" || /^(204|304)$/.test(status));
    const length = value("content-length");
    if (this.#isTunnel(fields, status)) this.#state = "until close";
    else if (bodyless) this.#complete();
    else if (value("transfer-encoding") !== undefined) this.#state = "chunk size";
    else if (length !== undefined) this.#expect("sized", Number(length));
    else if (this.#kind === "response") this.#state = "until close";
    else this.#complete();
  }

  /** What follows has no end but that of the connection. */
  #isTunnel(fields: readonly WireField[], status: string): boolean {
    if (this.#kind === "response") return status === "101" || (this.#method === "CONNECT" && /^2\d\d$/.test(status));
    const value = (wanted: string) => fields.find(([name]) => name === wanted)?.[1] ?? "";
    const isConnect = this.#message.fields?.some(([name, text]) => name === ":method" && text === "CONNECT") ?? false;
    return isConnect || (value("upgrade") !== "" && /\bupgrade\b/i.test(value("connection")));
  }

  #expect(state: "sized" | "chunk", length: number): void {
    this.#state = state;
    this.#left = length;
    if (length === 0 && state === "sized") this.#complete();
  }

  #readCounted(): boolean {
    if (this.#bytes.length === 0) return false;
    const piece = this.#take(Math.min(this.#left, this.#bytes.length));
    this.#message.chunks.push(piece);
    this.#left -= piece.length;
    if (this.#left > 0) return false;
    if (this.#state === "chunk") this.#state = "chunk end";
    else this.#complete();
    return true;
  }

  #readChunkSize(): boolean {
    return this.#line((line) => {
      const size = Number.parseInt(line, 16);
      if (size > 0) this.#expect("chunk", size);
      else this.#state = "trailers";
    });
  }

  #line(use: (line: string) => void): boolean {
    const end = this.#bytes.indexOf("\r\n");
    if (end < 0) return false;
    use(this.#take(end + 2).toString("latin1", 0, end));
    return true;
  }

  #complete(): void {
    this.#state = "done";
    this.#message.end = "complete";
  }

  #take(length: number): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }
}

function field(line: string): WireField {
  // A header may have no name at all.
  const colon = line.startsWith(": ") ? 0 : line.indexOf(":", 1);
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
}
