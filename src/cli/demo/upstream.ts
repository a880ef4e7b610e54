import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Options of `startUpstream`. */
export interface UpstreamOptions {
  /** TCP port on 127.0.0.1. Default 0: any free port. */
  readonly port?: number | undefined;
  /** Largest request body; a larger one gets 413. Default 32 MiB, because the whole body is held and sent back. */
  readonly maxBodyBytes?: number | undefined;
}

/** A running upstream. */
export interface Upstream {
  /** The actual port. */
  readonly port: number;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const PATHS = ["/headers", "/anything", "/anything/...", "/post", "/status/N"];

/**
 * Starts the upstream for the demo and for tests: HTTP/1.1 on 127.0.0.1. Like httpbin it answers with the request that
 * arrived, which shows what Envoy really forwarded.
 *
 * - `/headers`: `{headers}`; `/anything`, `/anything/...` and `POST /post`:
 *   `{args, data, headers, method, origin, url}`; `/status/N`: an empty response with that status.
 * - Names of headers are written `X-Like-This` and sorted. Several values of one header are joined with commas.
 * - `data` is the body as text, or a `data:application/octet-stream;base64,` URL if the body is not UTF-8. Forms are
 *   not parsed.
 * - Unlike httpbin, the trailers of a request are repeated in `trailers`, and in the trailers of the response.
 */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  const maxBodyBytes = options.maxBodyBytes ?? 32 * 1024 * 1024;
  const server = createServer((request, response) => {
    void answerRequest(request, maxBodyBytes).then(
      (answer) => send({ request, response, answer }),
      // Only a client that disconnects in the middle of its body gets here. It cannot receive a response.
      () => response.destroy(),
    );
  });
  // Envoy pools connections for an hour. If the upstream closes one first, Envoy sometimes loses a request.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerRequest(request: IncomingMessage, maxBodyBytes: number): Promise<Answer> {
  const [path = "/", query = ""] = splitOnce(request.url ?? "/", "?");
  const body = await readBody(request, maxBodyBytes);
  if (body === undefined) return { status: 413, json: { error: `the body has more than ${maxBodyBytes} bytes` } };
  if (path === "/headers") return { status: 200, json: { headers: headerObject(request.rawHeaders) } };
  if (path === "/anything" || path.startsWith("/anything/")) return echo(request, query, body);
  if (path === "/post") {
    if (request.method === "POST") return echo(request, query, body);
    return { status: 405, json: { error: "use POST" }, headers: { allow: "POST" } };
  }
  const status = Number(/^\/status\/(\d{3})$/.exec(path)?.[1]);
  if (status >= 200 && status <= 599) return { status };
  return { status: 404, json: { error: `nothing at ${path}`, paths: PATHS } };
}

function echo(request: IncomingMessage, query: string, body: Uint8Array): Answer {
  const json = {
    args: queryObject(query),
    data: bodyText(body),
    headers: headerObject(request.rawHeaders),
    method: request.method,
    origin: request.headers["x-forwarded-for"] ?? request.socket.remoteAddress,
    ...(request.rawTrailers.length > 0 && { trailers: headerObject(request.rawTrailers) }),
    url: `http://${request.headers.host ?? ""}${request.url}`,
  };
  return { status: 200, json };
}

function queryObject(query: string): Record<string, string | string[]> {
  const parameters = new URLSearchParams(query);
  return Object.fromEntries(
    [...parameters].map(([name, value]) => {
      const values = parameters.getAll(name);
      return [name, values.length === 1 ? value : values];
    }),
  );
}

function send(exchange: {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly answer: Answer;
}): void {
  const { response, answer } = exchange;
  const text = answer.json === undefined ? "" : `${JSON.stringify(answer.json, null, 2)}\n`;
  const trailers = answer.status === 200 ? pairs(exchange.request.rawTrailers) : [];
  if (answer.json !== undefined) response.setHeader("content-type", "application/json");
  if (trailers.length > 0) {
    // node:http writes trailers only after a chunked body, so this response has no content-length.
    response.setHeader("trailer", trailers.map(([name]) => name).join(", "));
    response.addTrailers(trailers);
  } else if (answer.status !== 204 && answer.status !== 304) {
    response.setHeader("content-length", Buffer.byteLength(text));
  }
  response.writeHead(answer.status, answer.headers).end(text);
}

/** Resolves to the whole body, or to undefined as soon as the body is too large. The rest is then read and dropped. */
function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    let chunks: Uint8Array[] = [];
    let bytes = 0;
    request.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else {
        chunks = [];
        resolve(undefined);
      }
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", reject);
  });
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function bodyText(body: Uint8Array): string {
  return utf8Text(body) ?? `data:application/octet-stream;base64,${Buffer.from(body).toString("base64")}`;
}

function headerObject(raw: readonly string[]): Record<string, string> {
  const joined = new Map<string, string[]>();
  for (const [name, value] of pairs(raw)) {
    const key = name.toLowerCase().replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
    joined.set(key, [...(joined.get(key) ?? []), readable(value)]);
  }
  const sorted = [...joined].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, values]) => [name, values.join(",")]));
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] ?? "", raw[2 * i + 1] ?? ""]);
}

/** A header value as text. node:http decodes values as latin1, but most senders use UTF-8. */
function readable(value: string): string {
  return utf8Text(Buffer.from(value, "latin1")) ?? value;
}

function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
