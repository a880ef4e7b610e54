import { describe, expect, test } from "vitest";
import type { Http2Stream } from "../../src/http2/http2-stream.ts";
import { data, END_STREAM, headers, REQUEST, rstStream, settings, TYPE, windowUpdate } from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;
const INITIAL_WINDOW = 4;

/** Answers each request with this body. */
const answering = (bytes: number, limits = {}) =>
  new TestServer({
    limits,
    handle: ({ stream }) => ({
      onEnd() {
        stream.respond(OK);
        stream.write(pattern(bytes));
        stream.end();
      },
    }),
  });

function pattern(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 31) % 251));
}

describe("flow control of sent DATA", () => {
  test("sent DATA waits for the stream's window, byte by byte if need be", async () => {
    const server = answering(8);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.roundTrip();
    expect(client.has(TYPE.data, 1)).toBe(false);
    client.send(windowUpdate(1, 3));
    await client.roundTrip();
    expect(client.body(1)).toEqual(pattern(8).subarray(0, 3));
    client.send(windowUpdate(1, 5));
    await client.ended(1);
    expect(client.body(1)).toEqual(pattern(8));
  });

  test("sent DATA waits for the connection's window", async () => {
    const server = answering(100_000);
    const client = await server.client([INITIAL_WINDOW, 1 << 20]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(65_535);
    client.send(windowUpdate(0, 100_000));
    await client.ended(1);
    expect(client.body(1)).toEqual(pattern(100_000));
  });

  test("sent DATA continues when SETTINGS enlarge the window of open streams", async () => {
    const server = answering(8);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM), settings([INITIAL_WINDOW, 8]));
    await client.ended(1);
    expect(client.body(1)).toEqual(pattern(8));
  });

  test("sent DATA stops when SETTINGS shrink the window below zero, until it is above zero again", async () => {
    const server = answering(20);
    const client = await server.client([INITIAL_WINDOW, 10]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(10);
    client.send(settings([INITIAL_WINDOW, 4]), windowUpdate(1, 6));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(10);
    client.send(windowUpdate(1, 1));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(11);
    client.send(windowUpdate(1, 9));
    await client.ended(1);
    expect(client.body(1)).toEqual(pattern(20));
  });

  test("the last of several window sizes in one SETTINGS frame applies", async () => {
    const server = answering(8);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM), settings([INITIAL_WINDOW, 0x7fffffff], [INITIAL_WINDOW, 2]));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(2);
  });

  test("an empty body needs no window", async () => {
    const server = answering(0);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.ended(1);
  });

  test("the last byte carries END_STREAM if the end was known before", async () => {
    const server = answering(8);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM), windowUpdate(1, 8));
    await client.ended(1);
    expect(client.frames.filter((f) => f.type === TYPE.data)).toHaveLength(1);
  });

  test("waiting DATA is dropped with its stream", async () => {
    const server = answering(8);
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.roundTrip();
    client.send(rstStream(1), windowUpdate(1, 8), settings([INITIAL_WINDOW, 100]));
    await client.roundTrip();
    expect(client.has(TYPE.data, 1)).toBe(false);
    expect(server.seen(1).stream).toMatchObject({ isClosed: true, queuedBytes: 0 });
  });
});

describe("the handler of a slow reader", () => {
  test("the handler of a slow reader must wait above streamQueueHighWaterBytes, and continues at half of it", async () => {
    const written: boolean[] = [];
    let writable = 0;
    const server = new TestServer({
      limits: { streamQueueHighWaterBytes: 100 },
      handle: ({ stream }) => {
        stream.respond(OK);
        written.push(stream.write(Buffer.alloc(100)), stream.write(Buffer.alloc(1)));
        return { onWritable: () => void writable++ };
      },
    });
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1));
    await client.roundTrip();
    expect(written).toEqual([true, false]);
    client.send(windowUpdate(1, 50));
    await client.roundTrip();
    expect(writable).toBe(0);
    client.send(windowUpdate(1, 1));
    await client.roundTrip();
    expect(writable).toBe(1);
    client.send(windowUpdate(1, 100));
    await client.roundTrip();
    expect(writable).toBe(1);
  });

  test("the handler of a slow reader may write from onWritable until everything is sent", async () => {
    const all = pattern(50_000);
    const server = new TestServer({
      limits: { streamQueueHighWaterBytes: 1000 },
      handle: ({ stream }) => {
        let at = 0;
        const go = () => {
          while (at < all.length) {
            at += 500;
            if (!stream.write(all.subarray(at - 500, at))) return;
          }
          stream.end();
        };
        return {
          onEnd() {
            stream.respond(OK);
            go();
          },
          onWritable: go,
        };
      },
    });
    const client = await server.client([INITIAL_WINDOW, 700]);
    client.send(headers(1, REQUEST, END_STREAM));
    for (let i = 0; i < 80; i++) {
      client.send(windowUpdate(1, 700));
      await client.roundTrip();
    }
    await client.ended(1);
    expect(client.body(1)).toEqual(all);
  });
});

describe("flow control of received DATA", () => {
  /** The credit that came back for a stream, or for the connection after its first enlargement (0). */
  const credit = (client: { frames: readonly { type: number; id: number; payload: Buffer }[] }, id: number) =>
    client.frames
      .filter((f) => f.type === TYPE.windowUpdate && f.id === id)
      .reduce((sum, f) => sum + f.payload.readUInt32BE(0), 0);
  const small = { connectionWindowBytes: 65_535, streamWindowBytes: 65_535 };

  test("the window of received DATA is given back to stream and connection when half of it is used", async () => {
    const server = new TestServer({ limits: small });
    const client = await server.client();
    client.send(headers(1), data(1, Buffer.alloc(16_384)));
    await client.roundTrip();
    expect([credit(client, 0), credit(client, 1)]).toEqual([0, 0]);
    client.send(data(1, Buffer.alloc(16_384)));
    await client.roundTrip();
    expect([credit(client, 0), credit(client, 1)]).toEqual([32_768, 32_768]);
  });

  test("a paused stream keeps its own window back, not the connection's", async () => {
    const server = new TestServer({
      limits: small,
      handle: ({ stream }) => {
        if (stream.id === 1) stream.pause();
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1), headers(3));
    for (let i = 0; i < 3; i++) client.send(data(1, Buffer.alloc(16_384)));
    await client.roundTrip();
    expect(credit(client, 1)).toBe(0);
    expect(credit(client, 0)).toBe(32_768);
    expect(Buffer.concat(server.seen(1).body)).toHaveLength(49_152);
    server.seen(1).stream.resume();
    await client.roundTrip();
    expect(credit(client, 1)).toBe(49_152);
  });

  test("DATA above the stream's window is FLOW_CONTROL_ERROR on the stream", async () => {
    const server = new TestServer({ limits: { ...small, connectionWindowBytes: 1 << 20 }, handle: pausing });
    const client = await server.client();
    client.send(headers(1));
    for (let i = 0; i < 4; i++) client.send(data(1, Buffer.alloc(16_384)));
    expect(await client.resetCode(1)).toBe(3);
    expect(server.seen(1).resetCode).toBe(3);
  });

  test("the window of padding is given back too", async () => {
    const server = new TestServer({ limits: small });
    const client = await server.client();
    client.send(headers(1));
    const padded = Buffer.concat([Buffer.of(0xff), Buffer.alloc(1000 + 255)]);
    for (let i = 0; i < 200; i++) client.send(data(1, padded, 8));
    await client.roundTrip();
    expect(Buffer.concat(server.seen(1).body)).toHaveLength(200_000);
    expect(credit(client, 1)).toBeGreaterThan(200_000);
  });

  test("DATA on streams that the server has reset does not use up the connection's window", async () => {
    const server = new TestServer({
      limits: small,
      handle: ({ stream }) => {
        stream.reset();
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1));
    for (let i = 0; i < 20; i++) {
      client.send(data(1, Buffer.alloc(16_384)));
      await client.roundTrip();
    }
    expect(credit(client, 0)).toBe(20 * 16_384);
    expect(client.has(TYPE.goaway, 0)).toBe(false);
  });

  test("the window of a stream whose answers wait above the high-water mark is not given back", async () => {
    const server = new TestServer({
      limits: { ...small, streamQueueHighWaterBytes: 1000 },
      handle: ({ stream }) => {
        stream.respond(OK);
        return { onData: (bytes, start, end) => void stream.write(Buffer.from(bytes.subarray(start, end))) };
      },
    });
    const client = await server.client([INITIAL_WINDOW, 0]);
    client.send(headers(1));
    for (let i = 0; i < 3; i++) client.send(data(1, Buffer.alloc(16_384)));
    await client.roundTrip();
    expect(credit(client, 1)).toBe(0);
    client.send(windowUpdate(1, 49_152));
    await client.roundTrip();
    expect(client.body(1)).toHaveLength(49_152);
    expect(credit(client, 1)).toBe(49_152);
  });
});

function pausing({ stream }: { stream: Http2Stream }): undefined {
  stream.pause();
}
