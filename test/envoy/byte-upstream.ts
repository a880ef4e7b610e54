import { type BareUpstream, startBareUpstream } from "./bare-upstream.ts";

/** A request, read from bytes as strictly as RFC 9112 has it. */
export interface WireRequest {
  readonly requestLine: string;
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** A byte is a character. */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

/** An HTTP/1.1 upstream on bare sockets, which parses strictly. */
export interface ByteUpstream extends BareUpstream {
  /** Complete requests in the order in which they came. */
  readonly requests: readonly WireRequest[];
  /** What is not a request, one line each; a connection is closed behind it. */
  readonly problems: readonly string[];
}

const RESPONSE_HEAD = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

/** Starts an upstream that answers every request with "ok" when all of it has come, and keeps connections open. */
export async function startByteUpstream(): Promise<ByteUpstream> {
  const requests: WireRequest[] = [];
  const problems: string[] = [];
  const upstream = await startBareUpstream((waiting, socket) => {
    let left = waiting;
    for (;;) {
      const read = readRequest(left);
      if (read === undefined) return left;
      if (typeof read === "string") {
        problems.push(read);
        socket.destroy();
        return left;
      }
      left = left.slice(read.length);
      requests.push(read.request);
      socket.write(read.request.requestLine.startsWith("HEAD ") ? RESPONSE_HEAD : `${RESPONSE_HEAD}ok`);
    }
  });
  return { ...upstream, requests, problems };
}

interface Read {
  readonly request: WireRequest;
  /** Of the whole request. */
  readonly length: number;
}

const REQUEST_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP\/1\.1$/;
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;

/** The request at the beginning of the text; undefined: more has to come; text: why it is not a request. */
function readRequest(text: string): Read | string | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [requestLine = "", ...lines] = text.slice(0, headEnd).split("\r\n");
  if (!REQUEST_LINE.test(requestLine)) return `request line ${JSON.stringify(requestLine)}`;
  const headers = readFields(lines);
  if (typeof headers === "string") return headers;
  const framing = framingOf(headers);
  if (typeof framing === "string") return framing;
  const start = headEnd + 4;
  if (framing.kind === "chunked") return readChunked(text, start, { requestLine, headers });
  if (text.length < start + framing.length) return undefined;
  const body = text.slice(start, start + framing.length);
  return { request: { requestLine, headers, body, trailers: [] }, length: start + framing.length };
}

type Fields = (readonly [name: string, value: string])[];

function readFields(lines: readonly string[]): Fields | string {
  const fields: Fields = [];
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) return `field line ${JSON.stringify(line)}`;
    fields.push([name.toLowerCase(), value]);
  }
  return fields;
}

type Framing = { readonly kind: "length"; readonly length: number } | { readonly kind: "chunked" };

function framingOf(headers: Fields): Framing | string {
  const valuesOf = (wanted: string) => headers.filter(([name]) => name === wanted).map(([, value]) => value);
  const lengths = valuesOf("content-length");
  const encodings = valuesOf("transfer-encoding");
  if (lengths.length + encodings.length > 1) return `framed twice: ${JSON.stringify({ lengths, encodings })}`;
  const [length = "0"] = lengths;
  const [encoding] = encodings;
  if (encoding !== undefined) {
    return encoding === "chunked" ? { kind: "chunked" } : `transfer-encoding ${JSON.stringify(encoding)}`;
  }
  return /^\d+$/.test(length) ? { kind: "length", length: Number(length) } : `content-length ${JSON.stringify(length)}`;
}

function readChunked(
  text: string,
  start: number,
  head: Pick<WireRequest, "requestLine" | "headers">,
): Read | string | undefined {
  let body = "";
  for (let at = start; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = text.slice(at, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(size)) return `chunk size ${JSON.stringify(size)}`;
    const length = Number.parseInt(size, 16);
    const dataStart = lineEnd + 2;
    if (length === 0) return readTrailers(text, lineEnd, { ...head, body });
    if (text.length < dataStart + length + 2) return undefined;
    if (text.slice(dataStart + length, dataStart + length + 2) !== "\r\n") return "a chunk is longer than it says";
    body += text.slice(dataStart, dataStart + length);
    at = dataStart + length + 2;
  }
}

function readTrailers(text: string, start: number, read: Omit<WireRequest, "trailers">): Read | string | undefined {
  const end = text.indexOf("\r\n\r\n", start);
  if (end < 0) return undefined;
  const lines = text.slice(start + 2, Math.max(end, start + 2)).split("\r\n");
  const trailers = readFields(lines.filter((line) => line !== ""));
  return typeof trailers === "string" ? trailers : { request: { ...read, trailers }, length: end + 4 };
}
