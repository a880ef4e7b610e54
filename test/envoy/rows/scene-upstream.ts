import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it reaches the upstream; it fills while it arrives. */
export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Name and value of each header line in order; a byte is a character. */
  readonly headerLines: readonly (readonly [name: string, value: string])[];
  body: string;
  trailers: NodeJS.Dict<string>;
  /** How it ended: all of it came, or Envoy gave it up. */
  end: "complete" | "aborted" | undefined;
}

/** Writes an upstream's response, once the request is complete. */
export type Respond = (response: ServerResponse, request: UpstreamRequest) => void;

/** An HTTP/1.1 upstream that keeps what it sees. */
export interface SceneUpstream {
  readonly port: number;
  readonly seen: readonly UpstreamRequest[];
  close(): Promise<void>;
}

/** More than Envoy lets pass. */
export const MAX_HEADER_BYTES = 256 * 1024;

const PLAIN: Respond = (response) => {
  response.setHeader("x-upstream", "yes");
  response.end("from upstream");
};

/** Starts an upstream; by default it answers 200 with `x-upstream: yes` and the text "from upstream". */
export async function startSceneUpstream(respond: Respond = PLAIN): Promise<SceneUpstream> {
  const seen: UpstreamRequest[] = [];
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    const record = recordOf(request);
    seen.push(record);
    request.setEncoding("latin1").on("data", (text: string) => {
      record.body += text;
    });
    request.on("end", () => {
      Object.assign(record, { end: "complete", trailers: request.trailers });
      respond(response, record);
    });
    request.on("error", () => {
      record.end = "aborted";
    });
    response.on("close", () => {
      record.end ??= "aborted";
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function recordOf({ method = "", url: path = "", headers, rawHeaders }: IncomingMessage): UpstreamRequest {
  return { method, path, headers, headerLines: pairs(rawHeaders), body: "", trailers: {}, end: undefined };
}

/** Node's flat list of names and values as pairs. */
export function pairs(flat: readonly string[]): (readonly [name: string, value: string])[] {
  return flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? ""] as const] : []));
}
