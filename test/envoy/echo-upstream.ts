import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it reached the upstream. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: NodeJS.Dict<string>;
}

/** An upstream that sends every body back and keeps what it saw. */
export interface EchoUpstream {
  readonly port: number;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Starts an HTTP/1.1 upstream that echoes bodies, chunk by chunk, with the trailer `x-upstream-trailer: kept`. */
export async function startEchoUpstream(): Promise<EchoUpstream> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    response.writeHead(200, { trailer: "x-upstream-trailer", "content-type": "application/octet-stream" });
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      response.write(chunk);
    });
    request.on("end", () => {
      const { url: path = "", headers, trailers } = request;
      seen.push({ path, headers, body: Buffer.concat(chunks), trailers });
      response.addTrailers({ "x-upstream-trailer": "kept" });
      response.end();
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
