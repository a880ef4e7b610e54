import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pairs, type WireMessage } from "./example-rig.ts";

/** A request as it reached the upstream. */
export interface SeenRequest extends WireMessage {
  readonly method: string;
  readonly path: string;
}

/** What the upstream answers. */
export interface UpstreamAnswer {
  readonly status?: number | undefined;
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly body?: string | undefined;
}

/** An upstream that answers as the test says, and tells what it saw last. */
export interface ExampleUpstream {
  readonly port: number;
  /** From now on. Forgets what was seen. */
  answer(answer: UpstreamAnswer): void;
  readonly seen: SeenRequest | undefined;
  close(): Promise<void>;
}

/** Starts it on a free port of the loopback. */
export async function startExampleUpstream(): Promise<ExampleUpstream> {
  let seen: SeenRequest | undefined;
  let next: UpstreamAnswer = {};
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      const { method = "", url: path = "", rawHeaders } = request;
      seen = { method, path, headers: pairs(rawHeaders), body: text };
      const { status = 200, headers = [], body = "" } = next;
      response.sendDate = false;
      response.writeHead(status, [...headers, ["content-length", String(body.length)]].flat());
      response.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    answer(answer) {
      next = answer;
      seen = undefined;
    },
    get seen() {
      return seen;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
