import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate as nextIteration } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { MemoryAccount } from "../../src/memory/memory-account.ts";
import type { Http1Handler } from "../../src/server/endpoints/endpoint.ts";
import { Http1Server } from "../../src/server/listen/http1-server.ts";
import { tcp, untilClosed } from "../network/tcp.ts";
import { bounded, fc } from "../property/seed.ts";
import { serverForTest } from "./start-server.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/** A server that notes what it begins, and the sockets that it has accepted. */
async function serving(handler: Http1Handler, maxMessageBytes?: number) {
  const memory = new MemoryAccount({ messages: maxMessageBytes });
  const http1 = new Http1Server(handler, { memory });
  const sockets: Socket[] = [];
  const tcpServer = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    http1.serve(socket);
  });
  tcpServer.listen(0, "127.0.0.1");
  await once(tcpServer, "listening");
  onTestFinished(() => {
    http1.drain();
    tcpServer.close();
  });
  return { http1, memory, sockets, port: (tcpServer.address() as AddressInfo).port };
}

/** Counts the iterations of the event loop until the test is over. */
function countIterations(): () => number {
  let count = 0;
  let next = setImmediate(function again() {
    count++;
    next = setImmediate(again);
  });
  onTestFinished(() => clearImmediate(next));
  return () => count;
}

describe("pipelined HTTP/1.1 requests", () => {
  test("pipelined requests are answered one at a time and in their order", async () => {
    let underWay = 0;
    let most = 0;
    const { port } = await serving((request, response) => {
      most = Math.max(most, ++underWay);
      setImmediate(() => {
        underWay--;
        response.end(`<${request.url}>`);
      });
    });
    const socket = await tcp(port);
    const paths = Array.from({ length: 500 }, (_, i) => `/${i}`);
    socket.write(paths.map((path) => GET.replace("/", path)).join("") + LAST);
    const said = await untilClosed(socket);
    expect(said.match(/(?<=<)[^>]*(?=>)/g)).toEqual([...paths, "/last"]);
    expect(most).toBe(1);
  });

  test("pipelined requests are not read while one of them is running", async () => {
    const answers: (() => void)[] = [];
    const { port, sockets } = await serving((_request, response) => {
      answers.push(() => response.end("ok"));
    });
    const socket = await tcp(port);
    const sentBytes = 64 * 1024 * 1024;
    const chunk = Buffer.from(GET.repeat(100_000));
    for (let sent = 0; sent < sentBytes; sent += chunk.length) socket.write(chunk);
    while (answers.length === 0) await nextIteration();
    let readBytes = -1;
    while (sockets[0]?.bytesRead !== readBytes) {
      readBytes = sockets[0]?.bytesRead ?? 0;
      for (let i = 0; i < 50; i++) await nextIteration();
    }
    expect(readBytes).toBeLessThan(256 * 1024);
    expect(answers.length).toBe(1);
  });

  test("waiting pipelined requests count as received bytes, and close their connection if there is no room for them", async () => {
    let answer = () => {};
    const slow: Http1Handler = (_request, response) => {
      answer = () => response.end("ok");
    };
    const { port, memory } = await serving(slow);
    const socket = await tcp(port);
    const bytes = Buffer.from(GET + GET + LAST);
    socket.write(bytes);
    await expect.poll(() => memory.messages.heldBytes).toBe(bytes.length);
    const said = untilClosed(socket);
    // Each answer lets the next request begin.
    while (!socket.closed) {
      answer();
      await nextIteration();
    }
    expect((await said).match(/HTTP\/1\.1 200/g)?.length).toBe(3);
    expect(memory.messages.heldBytes).toBe(0);

    const tight = await serving(slow, 100);
    const refused = await tcp(tight.port);
    refused.write(bytes);
    expect(await untilClosed(refused)).toBe("");
    expect(tight.memory.messages).toMatchObject({ heldBytes: 0, refusals: 1 });
  });

  test("one pipelined request begins in each iteration of the event loop, over all connections and servers", async () => {
    const iteration = countIterations();
    const begun: number[] = [];
    const handler: Http1Handler = (_request, response) => {
      begun.push(iteration());
      response.end("ok");
    };
    const servers = [await serving(handler), await serving(handler)];
    const said = servers.flatMap(({ port }) =>
      Array.from({ length: 3 }, async () => {
        const socket = await tcp(port);
        socket.write(GET.repeat(50) + LAST);
        return untilClosed(socket);
      }),
    );
    await Promise.all(said);
    expect(begun.length).toBe(6 * 51);
    expect(new Set(begun).size).toBe(begun.length);
  });

  test("pipelined requests do not begin after their connection ended", async () => {
    let begun = 0;
    const { port, sockets } = await serving(() => {
      begun++;
    });
    const socket = await tcp(port);
    socket.write(GET.repeat(1000));
    while (begun === 0) await nextIteration();
    socket.destroy();
    sockets[0]?.destroy();
    for (let i = 0; i < 20; i++) await nextIteration();
    expect(begun).toBe(1);
  });

  test("pipelined requests are counted while they wait, and other requests are not", async () => {
    const { http1, port } = await serving((_request, response) => {
      setImmediate(() => response.end("ok"));
    });
    const alone = await tcp(port);
    alone.write(GET);
    await once(alone, "data");
    alone.write(GET);
    await once(alone, "data");
    expect(http1.totals.requestsDelayed).toBe(0);
    const socket = await tcp(port);
    socket.write(GET.repeat(9) + LAST);
    await untilClosed(socket);
    expect(http1.totals.requestsDelayed).toBe(9);
  });

  test.each(["main", "status", "admin"] as const)(
    "waiting pipelined requests are in /metrics by listener: %s",
    async (name) => {
      const started = await serverForTest(hello);
      const ports = { main: started.port, status: started.statusPort, admin: started.adminPort };
      const socket = await tcp(ports[name]);
      const request = "GET /nothing HTTP/1.1\r\nhost: localhost\r\n";
      socket.write(`${request}\r\n${request}\r\n${request}connection: close\r\n\r\n`);
      await untilClosed(socket);
      expect(await started.metric(`ext_proc_http1_requests_delayed_total{listener="${name}"}`)).toBe(2);
    },
  );

  test("pipelined requests have their bodies, wherever requests and bytes are cut", async () => {
    const { port } = await serving((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => response.end(`<${request.method} ${Buffer.concat(chunks).toString("latin1")}>`));
    });
    // Bodies that look like ends of heads and of chunks.
    const text = fc.array(fc.constantFrom("a", "\r\n", "\n\r\n", "0\r\n\r\n", GET, "x".repeat(3000)), { maxLength: 6 });
    const requests = fc.array(fc.record({ kind: fc.constantFrom("get", "length", "chunked"), parts: text }), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(requests, fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 10 }), async (all, cuts) => {
        const socket = await tcp(port);
        const said = untilClosed(socket);
        const bytes = Buffer.from(all.map(written).join("") + LAST, "latin1");
        let at = 0;
        for (const cut of cuts) {
          socket.write(bytes.subarray(at, at + cut));
          at += cut;
          await nextIteration();
        }
        socket.write(bytes.subarray(at));
        const expected = all.map(({ kind, parts }) => (kind === "get" ? "<GET >" : `<POST ${parts.join("")}>`));
        const bodies = [...(await said).matchAll(/\r\n\r\n(<(?:GET|POST) [^>]*>)/g)].map(([, body]) => body);
        expect(bodies).toEqual([...expected, "<GET >"]);
      }),
      bounded(60),
    );
  });
});

function written({ kind, parts }: { readonly kind: string; readonly parts: readonly string[] }): string {
  const head = `POST / HTTP/1.1\r\nhost: a\r\n`;
  if (kind === "get") return GET;
  if (kind === "length") return `${head}content-length: ${parts.join("").length}\r\n\r\n${parts.join("")}`;
  const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
  return `${head}transfer-encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`;
}

test("calls of a client that has left release the memory of their requests", async () => {
  const { port, metric } = await serverForTest(hello);
  const call =
    "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
  for (let n = 0; n < 5; n++) {
    const socket = await tcp(port);
    socket.write(call.repeat(500));
    await once(socket, "data");
    socket.destroy();
  }
  await expect.poll(() => metric('ext_proc_connections_open{listener="main",protocol="http1"}')).toBe(0);
  await expect.poll(() => metric('ext_proc_memory_held_bytes{kind="messages"}')).toBe(0);
});
