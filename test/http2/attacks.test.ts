import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { EndReason } from "../../src/http2/end-reason.ts";
import { usedBytes } from "../used-bytes.ts";
import type { RawClient } from "./raw-client.ts";
import {
  ACK,
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  integer,
  literal,
  PREFACE,
  ping,
  REQUEST,
  rstStream,
  settings,
  settingsAck,
  TYPE,
  uint32,
  windowUpdate,
} from "./raw-frames.ts";
import { connectRaw, TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;
/** Stands for bytes that the application cannot read. */
const BROKEN = 0xff;

/** An application that answers at once, over TCP, with another client next to the attacker. */
async function withAttacker(attack: (attacker: RawClient, server: TestServer) => Promise<void>, limits = {}) {
  const server = new TestServer({
    limits,
    handle: ({ stream }) => ({
      onData() {
        stream.beginWork();
      },
      onEnd: () => stream.respond(OK, true),
    }),
  });
  const { port, stop } = await server.listen();
  try {
    const honest = await connectRaw(port);
    await honest.handshake();
    honest.send(headers(1));
    await honest.roundTrip();
    const attacker = await connectRaw(port);
    await attacker.handshake();
    await attack(attacker, server);
    honest.send(data(1, "still here", END_STREAM), headers(3, REQUEST, END_STREAM));
    await honest.ended(1);
    await honest.ended(3);
  } finally {
    await stop();
  }
}

/** Sends the same bytes again and again, until the server ends the connection. */
async function flood(client: RawClient, bytes: (i: number) => Buffer, bursts = 400): Promise<void> {
  for (let i = 0; i < bursts && !client.isClosed; i++) {
    client.socket.write(bytes(i));
    await new Promise(setImmediate);
  }
}

const many = (bytes: Buffer) => Buffer.concat(Array<Buffer>(100).fill(bytes));

test("streams that break the application's protocol end the attacker's connection with ENHANCE_YOUR_CALM, and no other connection", async () => {
  const server = new TestServer({
    limits: { resetsBeforeWork: { burst: 1_000, perSecond: 0 } },
    handle: ({ stream }) => ({
      onData(bytes, start) {
        stream.beginWork();
        if (bytes[start] !== BROKEN) return;
        stream.respond(OK, true);
        stream.chargeReset();
      },
      onEnd: () => stream.respond(OK, true),
    }),
  });
  const honest = await server.client();
  honest.send(headers(1));
  const attacker = await server.client();
  await flood(attacker, (i) => Buffer.concat(ids(i).flatMap((id) => [headers(id), data(id, Buffer.of(BROKEN))])));
  expect(await attacker.goaway()).toMatchObject({ code: 11, debug: "reset_flood" });
  expect(server.streams.length).toBeLessThan(1_010);
  expect(server.totals.streamErrors).toBe(1_001);
  honest.send(data(1, "still here", END_STREAM));
  await honest.ended(1);
  expect(server.totals.connectionsEnded).toMatchObject({ reset_flood: 1, stream_error_flood: 0 });
});

describe("floods", () => {
  test.each<[string, EndReason, (i: number) => Buffer]>([
    ["SETTINGS", "control_flood", () => many(settings())],
    ["SETTINGS acknowledgements", "control_flood", () => many(settingsAck)],
    ["PING", "control_flood", () => many(ping())],
    ["answers to no PING", "control_flood", () => many(ping("12345678", ACK))],
    ["PRIORITY", "control_flood", () => many(frame(TYPE.priority, { id: 1, payload: Buffer.alloc(5) }))],
    ["GOAWAY", "control_flood", () => many(frame(TYPE.goaway, { payload: Buffer.alloc(8) }))],
    ["unknown frames", "control_flood", () => many(frame(0x77))],
    [
      "empty DATA",
      "empty_frame_flood",
      (i) => (i === 0 ? Buffer.concat([headers(3), data(3, "")]) : many(data(3, ""))),
    ],
    [
      "DATA of padding only",
      "empty_frame_flood",
      (i) => (i === 0 ? headers(3) : many(frame(0, { id: 3, flags: 8, payload: Buffer.of(2, 0, 0) }))),
    ],
    [
      "rapid reset before the first message",
      "reset_flood",
      (i) => Buffer.concat(ids(i).flatMap((id) => [headers(id), rstStream(id)])),
    ],
    [
      "requests that make us reset",
      "stream_error_flood",
      (i) => Buffer.concat(ids(i).flatMap((id) => [headers(id), windowUpdate(id, 0)])),
    ],
  ])(
    "a flood ends the attacker's connection with ENHANCE_YOUR_CALM, and no other connection: %s: %s",
    async (_name, reason, bytes) => {
      await withAttacker(async (attacker, server) => {
        attacker.send(headers(1, REQUEST, END_STREAM));
        await attacker.ended(1);
        await flood(attacker, bytes);
        expect(await attacker.goaway()).toMatchObject({ code: 11, debug: reason });
        expect(server.totals.connectionsEnded[reason]).toBe(1);
      });
    },
  );

  test.each([
    ["empty", Buffer.alloc(0)],
    ["large", Buffer.alloc(16_000, 0x61)],
  ])("a CONTINUATION flood of %s frames ends the connection", async (_name, payload) => {
    await withAttacker(async (attacker, server) => {
      const before = usedBytes();
      // A literal whose value of 256 MB never ends.
      const endless = Buffer.concat([headers(1).subarray(9), Buffer.of(0, 1, 0x78), integer(2 ** 28, 0x7f)]);
      attacker.send(frame(1, { id: 1, payload: endless }));
      // Far more than the 2,048 frames that a block may have: 64 MB for the large frames.
      await flood(attacker, () => Buffer.concat(Array<Buffer>(10).fill(continuation(1, payload))), 400);
      expect(usedBytes() - before).toBeLessThan(8 * 1024 * 1024);
      expect(await attacker.goaway()).toMatchObject({ code: 11, debug: "header_block_flood" });
      expect(server.totals.connectionsEnded.header_block_flood).toBe(1);
    });
  });

  test("an HPACK bomb with one large entry and many references to it ends the connection", async () => {
    await withAttacker(async (attacker, server) => {
      const entry = literal("x", "v".repeat(3900), 0x40);
      const payload = Buffer.concat([headers(1).subarray(9), entry, Buffer.alloc(11_000, 0xbe)]);
      attacker.send(frame(1, { id: 1, flags: END_HEADERS, payload }));
      expect(await attacker.goaway()).toMatchObject({ code: 11, debug: "hpack_bomb" });
      expect(server.totals.connectionsEnded.hpack_bomb).toBe(1);
    });
  });

  test("rate limits allow more again after some time", async () => {
    const server = new TestServer({ limits: { controlFrames: { burst: 100, perSecond: 50 } } });
    const client = await server.client();
    for (let i = 0; i < 10; i++) {
      client.send(Buffer.concat(Array<Buffer>(90).fill(ping("flooding"))));
      await client.roundTrip();
      server.pass(2000);
    }
    expect(server.ends).toEqual([]);
    client.send(Buffer.concat(Array<Buffer>(101).fill(ping("flooding"))));
    expect(await client.goaway()).toMatchObject({ debug: "control_flood" });
  });
});

describe("harmless behaviour that looks like an attack", () => {
  test("20,000 answered streams may each be reset, as a proxy does", async () => {
    await withAttacker(async (proxy, server) => {
      for (let i = 0; i < 400; i++) {
        const burst = ids(i, 50);
        proxy.socket.write(Buffer.concat(burst.flatMap((id) => [headers(id), data(id, "message")])));
        await proxy.roundTrip();
        proxy.socket.write(Buffer.concat(burst.map((id) => rstStream(id, 2))));
        proxy.frames.length = 0;
      }
      await proxy.roundTrip();
      expect(server.totals).toMatchObject({ resetsAfterWork: 20_000, resetsBeforeWork: 0 });
      expect(proxy.isClosed).toBe(false);
    });
  });

  test("20,000 malformed requests may come, as a proxy forwards a client's header values", async () => {
    await withAttacker(async (proxy, server) => {
      const malformed = [...REQUEST, ["x", " a "]] as const;
      for (let i = 0; i < 200; i++) {
        proxy.socket.write(Buffer.concat(ids(i).map((id) => headers(id, malformed, END_STREAM))));
        await proxy.roundTrip();
        proxy.frames.length = 0;
      }
      expect(server.totals).toMatchObject({ streamErrors: 20_000 });
      expect(proxy.isClosed).toBe(false);
      proxy.send(headers(40_003, REQUEST, END_STREAM));
      await proxy.ended(40_003);
    });
  });

  test("resets of a trusted client are not counted", async () => {
    const server = new TestServer({ limits: { resetsBeforeWork: { burst: 10, perSecond: 0 } } });
    const { client } = server.connect({ isTrusted: true });
    await client.handshake();
    for (const id of ids(0, 100)) client.send(headers(id), rstStream(id));
    await client.roundTrip();
    expect(server.totals.resetsBeforeWork).toBe(100);
  });
});

describe("a client that never reads", () => {
  /** Sends until the socket takes no more. Returns the number of sent bytes. */
  async function push(client: RawClient, bytes: (i: number) => Buffer): Promise<number> {
    client.socket.pause();
    let sent = 0;
    for (let i = 0; i < 20_000; i++) {
      const chunk = bytes(i);
      sent += chunk.length;
      if (client.socket.write(chunk)) continue;
      // The socket is full permanently if many turns bring no room.
      for (let turns = 0; turns < 200 && client.socket.writableNeedDrain; turns++) await new Promise(setImmediate);
      if (client.socket.writableNeedDrain) return sent;
    }
    throw new Error("the server reads on and on");
  }

  test.each<[string, (i: number) => Buffer]>([
    [
      "requests with large answers",
      (i) => Buffer.concat([headers(2 * i + 1), data(2 * i + 1, Buffer.alloc(8000), END_STREAM)]),
    ],
    ["PINGs", () => many(ping())],
    ["SETTINGS", () => many(settings())],
  ])(
    "a client that never reads, after %s, is not read either, and its connection is closed after writeStallTimeoutMs",
    async (_name, bytes) => {
      const server = new TestServer({
        limits: {
          writeStallTimeoutMs: 60_000,
          controlFrames: { burst: 1e9, perSecond: 0 },
          maxConcurrentStreams: 100_000,
        },
        handle: ({ stream }) => ({
          onEnd() {
            stream.respond([...OK, ["x", "v".repeat(10_000)]]);
            stream.write(Buffer.alloc(8000));
            stream.end();
          },
        }),
      });
      const { port, stop } = await server.listen();
      const client = await connectRaw(port);
      client.send(PREFACE, settings([4, 0x7fffffff]), settingsAck, windowUpdate(0, 0x6fffffff));
      await client.until((f) => f.type === TYPE.settings && f.flags === ACK);
      const before = usedBytes();
      await push(client, bytes);
      const grownBytes = usedBytes() - before;
      // The client's own socket holds some of these bytes.
      expect(grownBytes).toBeLessThan(8 * 1024 * 1024);
      server.pass(1);
      server.pass(59_999);
      expect(server.totals.connectionsEnded.write_stall_timeout).toBe(0);
      server.pass(1);
      expect(server.totals.connectionsEnded.write_stall_timeout).toBe(1);
      await stop();
    },
  );
});

/** A hundred stream identifiers after those of the last burst. */
function ids(burst: number, count = 100): number[] {
  return Array.from({ length: count }, (_, k) => 2 * (burst * count + k) + 3);
}

test("a header list that announces more than it has reserves no memory", async () => {
  const server = new TestServer();
  const client = await server.client();
  client.send(
    frame(1, { id: 1, flags: END_HEADERS, payload: Buffer.concat([Buffer.of(0, 0x7f), uint32(0xffffff7f)]) }),
  );
  expect(await client.goaway()).toMatchObject({ code: 9 });
});

describe("a connection that always has more to read", () => {
  const LARGEST_READ_BYTES = 128 * 1024;
  const limits = { controlFrames: { burst: 1_000_000, perSecond: 1 } };

  test("a socket full of small frames is read once, and then a request on another connection has its turn", async () => {
    let flood: Socket | undefined;
    let readBefore: number | undefined;
    const server = new TestServer({
      limits,
      handle: ({ stream }) => {
        readBefore = flood?.bytesRead;
        return { onEnd: () => stream.respond(OK, true) };
      },
    });
    const listener = createServer((socket) => {
      flood ??= socket;
      server.connections.adopt(socket);
    }).listen(0, "127.0.0.1");
    try {
      await once(listener, "listening");
      const { port } = listener.address() as AddressInfo;
      const attacker = await connectRaw(port);
      await attacker.handshake();
      const honest = await connectRaw(port);
      await honest.handshake();
      // Frames of an unknown type are ignored.
      const ignored = Buffer.concat(Array.from({ length: 20_000 }, () => frame(0xaa, { payload: Buffer.alloc(100) })));
      // The kernel gives a busy connection larger buffers.
      for (let round = 0; round < 5; round++) {
        attacker.send(ignored);
        await attacker.roundTrip();
      }
      const before = flood?.bytesRead ?? 0;
      attacker.send(ignored);
      honest.send(headers(1, REQUEST, END_STREAM | END_HEADERS));
      await honest.until(({ type, id }) => type === TYPE.headers && id === 1);
      expect((readBefore ?? 0) - before).toBeLessThanOrEqual(2 * LARGEST_READ_BYTES);
      await attacker.roundTrip();
      expect((flood?.bytesRead ?? 0) - before).toBeGreaterThan(ignored.length);
    } finally {
      server.connections.destroy();
      await new Promise((resolve) => listener.close(resolve));
    }
  });

  test("a connection that rests while its answers wait for the client stays paused until the client reads", async () => {
    const server = new TestServer({ limits });
    const { client, serverSide } = server.connect();
    await client.handshake();
    client.socket.pause();
    // PINGs are answered, and the client reads none of the answers.
    client.send(Buffer.concat(Array.from({ length: 200_000 }, () => ping())));
    await turns(20);
    expect(serverSide.isPaused()).toBe(true);
    client.socket.resume();
    await client.roundTrip();
    expect(serverSide.isPaused()).toBe(false);
  });
});

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
