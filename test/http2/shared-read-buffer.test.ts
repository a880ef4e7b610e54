import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { readThroughSharedBuffer } from "../../src/http2/shared-read-buffer.ts";
import { selfSignedCertificate } from "./self-signed-certificate.ts";

const MEGABYTE = 1024 * 1024;

const opened: { server: Server; sockets: Socket[] }[] = [];

afterEach(async () => {
  for (const { server, sockets } of opened.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A server, and for each connection the two ends of it. */
async function listen(server: Server, open: (port: number) => Socket, event = "connection") {
  const sockets: Socket[] = [];
  opened.push({ server, sockets });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return async () => {
    const accepted = once(server, event);
    const client = open(port);
    const [socket] = (await accepted) as [Socket];
    sockets.push(client, socket);
    return { client, socket };
  };
}

const overTcp = () => listen(createServer(), (port) => connect(port, "127.0.0.1"));

async function overTls() {
  const certificate = await selfSignedCertificate();
  const server = createTlsServer(certificate);
  return listen(server, (port) => connectTls({ port, ca: certificate.cert, host: "localhost" }), "secureConnection");
}

function noise(bytes: number): Buffer {
  const start = createHash("sha256").update("noise").digest();
  return Buffer.from(Buffer.alloc(bytes, start).map((byte, at) => byte ^ (at >> 8)));
}

describe("a socket that reads through the shared buffer", () => {
  test("a socket with the shared buffer gets all bytes, in their order, and the end", async () => {
    const pair = await overTcp();
    const { client, socket } = await pair();
    const sent = noise(3 * MEGABYTE);
    const hash = createHash("sha256");
    let events = 0;
    expect(readThroughSharedBuffer(socket, (bytes) => hash.update(bytes))).toBe(true);
    socket.on("data", () => events++);
    client.end(sent);
    await once(socket, "end");
    expect(hash.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
    expect(events).toBe(0);
  });

  test("a socket with the shared buffer gives bytes that it had read before as events, ahead of the rest", async () => {
    const pair = await overTcp();
    const { client, socket } = await pair();
    client.write("first ");
    await once(socket, "readable");
    let text = "";
    readThroughSharedBuffer(socket, (bytes) => {
      text += bytes.toString("latin1");
    });
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
    });
    client.end("second");
    await once(socket, "end");
    expect(text).toBe("first second");
  });

  test("a socket with the shared buffer reads nothing while it is paused, and loses nothing", async () => {
    const pair = await overTcp();
    const { client, socket } = await pair();
    const sent = noise(2 * MEGABYTE);
    const parts: Buffer[] = [];
    let whilePaused = 0;
    let isPaused = false;
    readThroughSharedBuffer(socket, (bytes) => {
      if (isPaused) whilePaused++;
      parts.push(Buffer.from(bytes));
      isPaused = true;
      socket.pause();
      setImmediate(() => {
        isPaused = false;
        socket.resume();
      });
    });
    socket.on("data", () => undefined);
    client.end(sent);
    await once(socket, "end");
    expect(whilePaused).toBe(0);
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
  });

  test("a socket with the shared buffer shares it with other sockets", async () => {
    const pair = await overTcp();
    const buffers = new Set<ArrayBufferLike>();
    for (let i = 0; i < 3; i++) {
      const { client, socket } = await pair();
      readThroughSharedBuffer(socket, (bytes) => buffers.add(bytes.buffer));
      socket.on("data", () => undefined);
      client.end("hello");
      await once(socket, "end");
    }
    expect(buffers.size).toBe(1);
  });

  test("a socket with the shared buffer still fails when its connection is reset", async () => {
    const pair = await overTcp();
    const { client, socket } = await pair();
    readThroughSharedBuffer(socket, () => undefined);
    socket.on("data", () => undefined);
    const closed = once(socket, "close");
    client.resetAndDestroy();
    await expect(closed).rejects.toThrow("ECONNRESET");
  });
});

test("a socket over TLS cannot read through the shared buffer", async () => {
  const pair = await overTls();
  const { socket } = await pair();
  expect(readThroughSharedBuffer(socket, () => undefined)).toBe(false);
});

test("a socket without a connection cannot read through the shared buffer", () => {
  expect(readThroughSharedBuffer(new Socket(), () => undefined)).toBe(false);
});
