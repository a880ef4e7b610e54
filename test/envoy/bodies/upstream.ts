import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BodyCase } from "./cases.ts";
import { bodyOf } from "./material.ts";
import { READERS } from "./readers.ts";
import { Arrival, type Arrived, cutAnywhere, writePieces } from "./wire.ts";

/** A request that reached the upstream whole. */
export interface UpstreamSaw extends Arrived {
  readonly headers: NodeJS.Dict<string | readonly string[]>;
  readonly trailers: NodeJS.Dict<string>;
}

/** An upstream that swallows request bodies, and answers with the body of the case that is asked for. */
export interface BodyUpstream {
  readonly port: number;
  /** Whole requests by `x-case`, each as often as it came. */
  readonly saw: ReadonlyMap<string, readonly UpstreamSaw[]>;
  /** What was not HTTP. */
  readonly problems: readonly string[];
  close(): Promise<void>;
}

/** A connection that ends inside a request, which Envoy has given up then. */
const GIVEN_UP: readonly string[] = ["ECONNRESET", "EPIPE", "HPE_INVALID_EOF_STATE"];

/** Starts it; `caseOf` finds the case of an `x-case`. */
export async function startBodyUpstream(caseOf: (id: string) => BodyCase | undefined): Promise<BodyUpstream> {
  const saw = new Map<string, UpstreamSaw[]>();
  const problems: string[] = [];
  const server = createServer((request, response) => {
    const id = String(request.headers["x-case"]);
    const test = caseOf(id);
    const arrival = new Arrival();
    request.on("data", (piece: Buffer) => arrival.take(piece));
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    request.on("end", () => {
      const { headers, trailers } = request;
      saw.set(id, [...(saw.get(id) ?? []), { ...arrival.whole, headers, trailers }]);
      if (test === undefined) problems.push(`an unknown request came: ${request.method} ${request.url}`);
      void answer(request, response, test);
    });
  });
  server.on("clientError", (cause: Error & { readonly rawPacket?: Buffer; readonly code?: string }, socket) => {
    if (!GIVEN_UP.includes(cause.code ?? "")) problems.push(`${cause.message}: ${cause.rawPacket?.subarray(0, 80)}`);
    socket.destroy();
  });
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0 });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    saw,
    problems,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(_request: IncomingMessage, response: ServerResponse, test: BodyCase | undefined): Promise<void> {
  if (test === undefined || test.direction === "request") {
    response.writeHead(204).end();
    return;
  }
  const { size, framing, id, reader, direction } = test;
  const { material } = READERS[reader];
  const body = bodyOf(material, size, direction);
  response.writeHead(200, {
    ...(framing.length ? { "content-length": String(size) } : { "transfer-encoding": "chunked" }),
    ...(framing.trailers && { trailer: "x-end" }),
    ...(material === "grpc" && { "content-type": "application/grpc" }),
  });
  await writePieces(response, cutAnywhere(body, Number(id)));
  if (framing.trailers) response.addTrailers({ "x-end": "kept" });
  response.end();
}
