import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Http1Server } from "../../src/server/http1-server.ts";

/** What a client gets that says something and then waits; it ends when the server closes. */
async function answerTo(text: string, headersTimeoutMs: number): Promise<string> {
  const http1 = new Http1Server((_request, response) => void response.end("answered"), headersTimeoutMs);
  const tcp = createServer((socket) => http1.serve(socket)).listen(0, "127.0.0.1");
  onTestFinished(() => void tcp.close());
  await once(tcp, "listening");
  const socket = connect((tcp.address() as AddressInfo).port, "127.0.0.1");
  socket.write(text);
  return Buffer.concat((await socket.toArray()) as Buffer[]).toString();
}

test("a connection whose headers never end is closed", async () => {
  expect(await answerTo("GET / HTTP/1.1\r\nhost: a\r\nx-slow:", 50)).toBe("");
});

test("a connection that has had an answer is closed too if its next headers never end", async () => {
  const answer = await answerTo("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\n", 50);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK.*answered$/s);
});
