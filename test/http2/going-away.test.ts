import { describe, expect, test } from "vitest";
import type { RawClient } from "./raw-client.ts";
import {
  ACK,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  literal,
  PREFACE,
  ping,
  REQUEST,
  rstStream,
  TYPE,
  windowUpdate,
} from "./raw-frames.ts";
import { connectRaw, TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;
const answering = (limits = {}) =>
  new TestServer({ limits, handle: ({ stream }) => ({ onEnd: () => stream.respond(OK, true) }) });

const lastIds = (client: RawClient) =>
  client.frames.filter((f) => f.type === TYPE.goaway).map((f) => f.payload.readUInt32BE(0));

/** Waits for the PING of a draining server, and answers it. */
async function answerDrainPing(client: RawClient): Promise<void> {
  const { payload } = await client.until((f) => f.type === TYPE.ping && f.flags === 0);
  client.send(frame(TYPE.ping, { flags: ACK, payload }));
}

describe("drain()", () => {
  test("drain() says goodbye in two phases: open streams are served, later ones ignored, then the connection ends", async () => {
    const server = answering();
    const client = await server.client();
    client.send(headers(1));
    await client.roundTrip();
    const drained = server.connections.drain();
    await client.until((f) => f.type === TYPE.goaway);
    expect(lastIds(client)).toEqual([0x7fffffff]);
    client.send(headers(3, REQUEST, END_STREAM));
    await client.ended(3);
    await answerDrainPing(client);
    await client.until(() => lastIds(client).length === 2);
    expect(lastIds(client)).toEqual([0x7fffffff, 3]);
    client.send(headers(5), data(5, "x", END_STREAM), rstStream(5), data(1, "", END_STREAM));
    await client.closed();
    expect(client.frames.some((f) => f.id === 5)).toBe(false);
    expect(client.has(TYPE.headers, 1)).toBe(true);
    server.pass(2000);
    await drained;
    expect(server.ends).toMatchObject([{ reason: "drained", code: 0 }]);
    expect(lastIds(client)).toHaveLength(2);
  });

  test("headers of ignored streams still change the HPACK state during drain()", async () => {
    const server = answering();
    const client = await server.client();
    client.send(headers(1), headers(3));
    await client.roundTrip();
    void server.connections.drain();
    await answerDrainPing(client);
    await client.until(() => lastIds(client).length === 2);
    client.send(frame(1, { id: 5, flags: END_HEADERS, payload: literal("x", "5", 0x40) }));
    client.send(frame(1, { id: 3, flags: END_HEADERS | END_STREAM, payload: Buffer.of(0xbe) }));
    await client.ended(3);
    expect(server.seen(3).trailers?.get("x")).toBe("5");
  });

  test("drain() ends an idle connection after the PING", async () => {
    const server = answering();
    const client = await server.client();
    void server.connections.drain();
    await answerDrainPing(client);
    await client.closed();
    expect(server.totals.connectionsEnded.drained).toBe(1);
  });

  test("drain() waits drainPingTimeoutMs for a client that does not answer the PING", async () => {
    const server = answering({ drainPingTimeoutMs: 2000 });
    const client = await server.client();
    void server.connections.drain();
    server.pass(1999);
    await client.roundTrip();
    expect(lastIds(client)).toEqual([0x7fffffff]);
    server.pass(1);
    await client.closed();
    expect(lastIds(client)).toEqual([0x7fffffff, 0]);
  });

  test("drain() does not take the answer to another PING for its own", async () => {
    const server = answering();
    const client = await server.client();
    void server.connections.drain();
    client.send(ping("whatever", ACK));
    await client.roundTrip();
    expect(lastIds(client)).toEqual([0x7fffffff]);
  });

  test("drain() does not cut off the last answer, however slowly the client reads it", async () => {
    const body = Buffer.alloc(3_000_000, 7);
    const server = new TestServer({
      limits: { outputHighWaterBytes: 1 << 22 },
      handle: ({ stream }) => ({
        onEnd() {
          stream.respond(OK);
          stream.write(body);
          stream.end();
        },
      }),
    });
    const { port, stop } = await server.listen();
    const client = await connectRaw(port);
    await client.handshake([4, 1 << 24]);
    void server.connections.drain();
    await client.until((f) => f.type === TYPE.ping);
    client.socket.pause();
    client.send(windowUpdate(0, 1 << 24), headers(1, REQUEST, END_STREAM));
    await expect.poll(() => server.totals.streamsOpened).toBe(1);
    server.pass(10_000);
    expect(server.totals.connectionsEnded.drained).toBe(1);
    client.socket.resume();
    await client.ended(1);
    expect(client.body(1).equals(body)).toBe(true);
    await stop();
  });

  test("drain() also applies to a connection that is adopted later", async () => {
    const server = answering();
    await server.connections.drain();
    const { client } = server.connect();
    client.send(PREFACE, frame(4));
    await answerDrainPing(client);
    await client.closed();
    expect(server.totals.connectionsEnded.drained).toBe(1);
  });
});

describe("close() and destroy()", () => {
  test("close() cuts streams off, after everything written so far is sent", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        stream.respond(OK);
        stream.write(Buffer.from("half"));
        return undefined;
      },
    });
    const { client, connection } = server.connect();
    await client.handshake();
    client.send(headers(1));
    await client.until((f) => f.type === TYPE.data);
    server.seen(1).stream.write(Buffer.from(" and half"));
    connection.close();
    await client.closed();
    expect(client.body(1).toString()).toBe("half and half");
    expect(await client.goaway()).toEqual({ lastId: 1, code: 0, debug: "" });
    expect(server.seen(1)).toMatchObject({ resetCode: 8, stream: { isClosed: true } });
  });

  test("close() and destroy() throw nothing and send nothing on a connection that is gone", async () => {
    const server = new TestServer();
    const { client, connection, serverSide } = server.connect();
    await client.handshake();
    client.send(headers(1));
    await client.roundTrip();
    connection.destroy();
    const { stream } = server.seen(1);
    stream.respond(OK);
    expect(stream.write(Buffer.from("x"))).toBe(true);
    expect(stream.writeFrame(1, () => {})).toBe(true);
    stream.end();
    stream.reset();
    stream.pause();
    stream.resume();
    stream.hold()();
    connection.drain();
    connection.close();
    expect(serverSide.destroyed).toBe(true);
    expect(server.totals.connectionsEnded.closed_by_application).toBe(1);
  });

  test("close() and destroy() in a handler stop the reading at once", async () => {
    const server = new TestServer({
      handle: () => {
        server.connections.close();
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1), headers(3), headers(5));
    await client.closed();
    expect(server.streams).toHaveLength(1);
  });
});
