import { once } from "node:events";
import { Duplex } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Http2Stream } from "../../src/http2/http2-stream.ts";
import { RawClient } from "./raw-client.ts";
import {
  data,
  END_STREAM,
  headers,
  PREFACE,
  REQUEST,
  settings,
  settingsAck,
  TYPE,
  windowUpdate,
} from "./raw-frames.ts";
import { connectRaw, TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;
const WIDE = [4, 0x7fffffff] as const;

/** Bytes that differ between streams and between positions. */
function pattern(id: number, bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7 + id * 13 + (i >> 8)) & 0xff));
}

const ways: [string, (stream: Http2Stream, bytes: Buffer) => void][] = [
  ["write()", (stream, bytes) => void stream.write(bytes)],
  ["writeFrame()", (stream, bytes) => void stream.writeFrame(bytes.length, (target, at) => target.set(bytes, at))],
  [
    "both in turn",
    (stream, bytes) => {
      stream.write(bytes.subarray(0, 100));
      stream.writeFrame(bytes.length - 100, (target, at) => target.set(bytes.subarray(100), at));
    },
  ],
];

describe.each(ways)("answers written by %s", (_name, write) => {
  const sizes = [100, 101, 1000, 5000, 8191, 8192, 20_000];
  const respond = (stream: Http2Stream) => {
    stream.respond([...OK, ["x-id", String(stream.id)]]);
    write(stream, pattern(stream.id, sizes[stream.id % sizes.length] ?? 0));
    stream.end([["x-trailer", "v".repeat(stream.id % 300)]]);
  };
  const server = () => new TestServer({ handle: ({ stream }) => ({ onEnd: () => respond(stream) }) });
  const ids = Array.from({ length: 300 }, (_, k) => 2 * k + 1);

  async function expectIntact(client: RawClient): Promise<void> {
    client.send(windowUpdate(0, 1 << 30), ...ids.map((id) => headers(id, REQUEST, END_STREAM)));
    await Promise.all(ids.map((id) => client.ended(id)));
    for (const id of ids) {
      const expected = pattern(id, sizes[id % sizes.length] ?? 0);
      expect(client.body(id).equals(expected), `stream ${id}`).toBe(true);
    }
  }

  test("more than 64 KiB of answers arrive over a Duplex that is not a net.Socket", async () => {
    await expectIntact(await server().client(WIDE));
  });

  test("more than 64 KiB of answers arrive over TCP", async () => {
    const { port, stop } = await server().listen();
    const client = await connectRaw(port);
    await client.handshake(WIDE);
    await expectIntact(client);
    await stop();
  });

  test("more than 64 KiB of answers arrive over a slow Duplex", async () => {
    const { duplex, client } = slowDuplex();
    server().connections.adopt(duplex);
    await client.handshake(WIDE);
    await expectIntact(client);
  });
});

/** A pipe whose server side keeps a reference to written chunks for a while before it passes them on. */
function slowDuplex(): { duplex: Duplex; client: RawClient } {
  const clientSide = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      duplex.push(chunk);
      done();
    },
  });
  const duplex = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      done();
      setImmediate(() => setImmediate(() => clientSide.push(chunk)));
    },
  });
  return { duplex, client: new RawClient(clientSide) };
}

describe("writes of one turn", () => {
  test("answers to one read leave in one write", async () => {
    const server = new TestServer({
      handle: ({ stream }) => ({
        onEnd() {
          stream.respond(OK);
          stream.write(Buffer.from("x"));
          stream.end();
        },
      }),
    });
    const { client, serverSide } = server.connect();
    await client.handshake();
    let writes = 0;
    const write = serverSide._write.bind(serverSide);
    serverSide._write = (...args) => {
      writes++;
      write(...args);
    };
    client.send(...Array.from({ length: 50 }, (_, k) => headers(2 * k + 1, REQUEST, END_STREAM)));
    await client.ended(99);
    expect(writes).toBe(1);
  });

  test("answers from outside of a read leave together as well", async () => {
    const server = new TestServer();
    const { client, serverSide } = server.connect();
    await client.handshake();
    client.send(headers(1), headers(3), headers(5));
    await client.roundTrip();
    let writes = 0;
    const write = serverSide._write.bind(serverSide);
    serverSide._write = (...args) => {
      writes++;
      write(...args);
    };
    for (const id of [1, 3, 5]) server.seen(id).stream.respond(OK, true);
    await client.ended(5);
    expect(writes).toBe(1);
  });
});

describe("fairness", () => {
  test("a hundred small answers overtake a large one that came first", async () => {
    const size = 10_000_000;
    const server = new TestServer({
      handle: ({ stream }) => ({
        onEnd() {
          stream.respond(OK);
          stream.write(Buffer.alloc(stream.id === 1 ? size : 20_000, stream.id));
          stream.end();
        },
      }),
    });
    const { port, stop } = await server.listen();
    const client = await connectRaw(port);
    await client.handshake(WIDE);
    client.send(windowUpdate(0, 0x7fffffff - 65_535), headers(1, REQUEST, END_STREAM));
    const small = Array.from({ length: 100 }, (_, k) => 2 * k + 3);
    client.send(...small.map((id) => headers(id, REQUEST, END_STREAM)));
    await client.ended(1);
    for (const id of small) expect(client.body(id)).toHaveLength(20_000);
    expect(client.body(1)).toHaveLength(size);
    const lastSmall = client.frames.findLastIndex((f) => f.type === TYPE.data && f.id !== 1);
    const largeBefore = client.frames.slice(0, lastSmall).filter((f) => f.id === 1);
    // Two frames for each small answer, and as many frames of the large one between them, behind the bytes sent at the
    // start.
    expect(largeBefore.length * 16_384).toBeLessThan(256 * 1024 + 3 * 16_384 + 16_384 * 8);
    await stop();
  });

  test("streams take turns frame by frame", async () => {
    const server = new TestServer({
      handle: ({ stream }) => ({
        onEnd() {
          stream.respond(OK);
          stream.write(Buffer.alloc(16_384 * 4));
          stream.end();
        },
      }),
    });
    const client = await server.client([4, 0]);
    client.send(...[1, 3, 5].map((id) => headers(id, REQUEST, END_STREAM)), windowUpdate(0, 1 << 20));
    await client.roundTrip();
    // All windows are open at once.
    client.send(settings([4, 1 << 20]));
    await Promise.all([1, 3, 5].map((id) => client.ended(id)));
    expect(client.frames.filter((f) => f.type === TYPE.data).map((f) => f.id)).toEqual([
      1, 3, 5, 1, 3, 5, 1, 3, 5, 1, 3, 5,
    ]);
  });

  test("control frames and headers wait for at most outputHighWaterBytes of DATA", async () => {
    const server = new TestServer({
      handle: ({ stream }) => ({
        onEnd() {
          stream.respond(OK);
          if (stream.id === 1) stream.write(Buffer.alloc(5_000_000));
          stream.end();
        },
      }),
    });
    const client = await server.client(WIDE);
    client.send(windowUpdate(0, 1 << 30), headers(1, REQUEST, END_STREAM), headers(3, REQUEST, END_STREAM));
    await client.ended(1);
    const first = client.frames.findIndex((f) => f.id === 3);
    const before = client.frames.slice(0, first).reduce((sum, f) => sum + f.payload.length, 0);
    expect(before).toBeLessThan(256 * 1024 + 16_384 + 1000);
  });
});

test("a client that stops reading is not read either, and both continue when it reads again", async () => {
  const server = new TestServer({
    // The client below ignores its windows.
    limits: { streamWindowBytes: 1 << 25, connectionWindowBytes: 1 << 25 },
    handle: ({ stream }) => {
      stream.respond(OK);
      return {
        onData: (bytes, start, end) => void stream.write(Buffer.from(bytes.subarray(start, end))),
        onEnd: () => stream.end(),
      };
    },
  });
  const { port, stop } = await server.listen();
  const client = await connectRaw(port);
  await client.handshake(WIDE);
  client.send(windowUpdate(0, 1 << 30), headers(1));
  await client.roundTrip();
  client.socket.pause();
  const body = pattern(1, 16_000);
  let sent = 0;
  for (; sent < 1000; sent++) {
    if (client.socket.write(data(1, body))) continue;
    for (let turns = 0; turns < 100 && client.socket.writableNeedDrain; turns++) {
      await new Promise(setImmediate);
    }
    if (client.socket.writableNeedDrain) break;
  }
  client.socket.resume();
  if (client.socket.writableNeedDrain) await once(client.socket, "drain");
  client.send(data(1, "", END_STREAM));
  await client.ended(1);
  expect(client.body(1).equals(Buffer.concat(Array<Buffer>(Math.min(sent + 1, 1000)).fill(body)))).toBe(true);
  await stop();
});

test("the preface may have been read before the connection is adopted", async () => {
  const server = new TestServer({ handle: ({ stream }) => ({ onEnd: () => stream.respond(OK, true) }) });
  const head = Buffer.concat([PREFACE, settings(), settingsAck, headers(1, REQUEST, END_STREAM)]);
  const { client } = server.connect({ head });
  await client.ended(1);
});
