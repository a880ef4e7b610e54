import { createServer, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import type { SceneServer } from "./scene.ts";

/** A call of Envoy's `http_service`. */
export interface HttpCall {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a service answers; `never`: nothing. */
export type HttpReply = { readonly status: number; readonly body: string } | "never";

/** An HTTP service instead of ours, which keeps what it is asked. */
export interface HttpPeer extends SceneServer {
  readonly asked: readonly HttpCall[];
}

/** A service that answers every call so. */
export function httpPeer(replyTo: (body: string) => HttpReply): () => Promise<HttpPeer> {
  return async () => {
    const asked: HttpCall[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      request.on("end", () => {
        asked.push({ headers: request.headers, body });
        const reply = replyTo(body);
        if (reply === "never") return;
        response.writeHead(reply.status, { "content-type": "application/json" });
        response.end(reply.body);
      });
      // Envoy resets calls that it needs no more.
      request.on("error", () => undefined);
    });
    const sessions = new Set<{ destroy(): void }>();
    server.on("session", (session) => sessions.add(session.on("error", () => undefined)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return {
      port,
      asked,
      close: async () => {
        for (const session of sessions) session.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  };
}
