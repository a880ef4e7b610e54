import { duplexPair } from "node:stream";
import { describe, expect, test } from "vitest";
import { Http2Connections } from "../../src/http2/connections.ts";
import type { EndReason } from "../../src/http2/end-reason.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { RawClient } from "./raw-client.ts";
import { ACK, continuation, data, frame, headers, PREFACE, ping, settings, TYPE } from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

/** The last moment before a timeout, and the first moment after it. */
async function expectEnd(server: TestServer, ms: number, reason: EndReason): Promise<void> {
  server.pass(ms - 1);
  expect(server.totals.connectionsEnded[reason]).toBe(0);
  server.pass(1);
  expect(server.totals.connectionsEnded[reason]).toBe(1);
}

describe("a slow client", () => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["half a preface", PREFACE.subarray(0, 10)],
    ["a preface without SETTINGS", PREFACE],
  ])("a client that sends %s is disconnected after prefaceTimeoutMs", async (_name, bytes) => {
    const server = new TestServer({ limits: { prefaceTimeoutMs: 10_000 } });
    const { client } = server.connect();
    client.send(bytes);
    await expectEnd(server, 10_000, "preface_timeout");
    expect(await client.goaway()).toMatchObject({ code: 1, debug: "preface_timeout" });
  });

  test("a client that does not acknowledge SETTINGS is disconnected after settingsAckTimeoutMs", async () => {
    const server = new TestServer({ limits: { settingsAckTimeoutMs: 30_000, keepAliveIntervalMs: 0 } });
    const { client } = server.connect();
    client.send(PREFACE, settings());
    await client.roundTrip();
    await expectEnd(server, 30_000, "settings_ack_timeout");
    expect(await client.goaway()).toMatchObject({ code: 4 });
  });

  test.each([
    ["half a frame header", ping().subarray(0, 5)],
    ["half a frame", ping().subarray(0, 12)],
    ["half a DATA frame", Buffer.concat([headers(1), data(1, "hello").subarray(0, 12)])],
    ["half a header block", frame(1, { id: 1, payload: headers(1).subarray(9, 12) })],
  ])("a client that stops after %s is disconnected after partialFrameTimeoutMs", async (_name, bytes) => {
    const server = new TestServer({ limits: { partialFrameTimeoutMs: 20_000, keepAliveIntervalMs: 0 } });
    const client = await server.client();
    const seen = client.receivedBytes;
    client.send(bytes);
    await new Promise(setImmediate);
    server.pass(1);
    await expectEnd(server, 20_000, "partial_frame_timeout");
    await client.closed();
    expect(client.receivedBytes).toBeGreaterThan(seen);
  });

  test("a slow series of CONTINUATION frames is not progress", async () => {
    const server = new TestServer({ limits: { partialFrameTimeoutMs: 5000 } });
    const client = await server.client();
    client.send(frame(1, { id: 1 }));
    for (let i = 0; i < 7 && server.totals.connectionsEnded.partial_frame_timeout === 0; i++) {
      await new Promise(setImmediate);
      server.pass(1000);
      client.send(continuation(1, Buffer.alloc(0)));
    }
    expect(server.totals.connectionsEnded.partial_frame_timeout).toBe(1);
  });

  test("the single bytes of one slow frame are not progress, except in DATA", async () => {
    const server = new TestServer({ limits: { partialFrameTimeoutMs: 5000 } });
    const trickle = async (bytes: Buffer) => {
      const client = await server.client();
      client.send(headers(1), bytes.subarray(0, 9));
      for (let at = 9; at < 19; at++) {
        client.send(bytes.subarray(at, at + 1));
        await new Promise(setImmediate);
        server.pass(1000);
      }
    };
    await trickle(data(1, "ten bytes!"));
    expect(server.totals.connectionsEnded.partial_frame_timeout).toBe(0);
    await trickle(frame(0x55, { payload: Buffer.alloc(20) }));
    expect(server.totals.connectionsEnded.partial_frame_timeout).toBe(1);
  });

  test("a frame that comes in halves, each in time, is accepted", async () => {
    const server = new TestServer({ limits: { partialFrameTimeoutMs: 5000 } });
    const client = await server.client();
    for (let i = 0; i < 20; i++) {
      client.send(ping().subarray(0, 12));
      await new Promise(setImmediate);
      server.pass(3000);
      client.send(ping().subarray(12));
      await client.roundTrip();
    }
    expect(server.ends).toEqual([]);
  });
});

describe("keep-alive", () => {
  const limits = { keepAliveIntervalMs: 30_000, keepAliveTimeoutMs: 20_000 };

  test("a silent client gets a PING, and is disconnected if it stays silent", async () => {
    const server = new TestServer({ limits });
    const client = await server.client();
    server.pass(1);
    server.pass(29_999);
    expect(server.totals.pingsSent).toBe(0);
    server.pass(1);
    expect(server.totals.pingsSent).toBe(1);
    await client.until((f) => f.type === TYPE.ping && f.flags === 0);
    await expectEnd(server, 20_000, "keep_alive_timeout");
  });

  test("any received byte keeps a connection alive", async () => {
    const server = new TestServer({ limits });
    const client = await server.client();
    for (let i = 0; i < 10; i++) {
      server.pass(45_000);
      await client.roundTrip();
    }
    expect(server.ends).toEqual([]);
    expect(server.totals.pingsSent).toBeGreaterThan(5);
  });
});

describe("connections that have served", () => {
  test("an idle connection is drained after idleTimeoutMs, but not while a stream is open", async () => {
    const server = new TestServer({ limits: { idleTimeoutMs: 60_000, keepAliveIntervalMs: 0 } });
    const client = await server.client();
    server.pass(30_000);
    client.send(headers(1));
    await client.roundTrip();
    server.pass(120_000);
    expect(client.has(TYPE.goaway, 0)).toBe(false);
    server.seen(1).stream.reset();
    await client.roundTrip();
    server.pass(1);
    server.pass(59_000);
    await client.roundTrip();
    expect(client.has(TYPE.goaway, 0)).toBe(false);
    server.pass(2000);
    await client.until((f) => f.type === TYPE.goaway);
    expect((await client.goaway()).lastId).toBe(0x7fffffff);
  });

  const goaways = (client: RawClient) => client.frames.filter(({ type }) => type === TYPE.goaway).length;

  test("an old connection is drained, and closed when its grace after the last GOAWAY is over", async () => {
    const server = new TestServer({
      limits: { maxConnectionAgeMs: 100_000, maxConnectionAgeGraceMs: 10_000, keepAliveIntervalMs: 0 },
    });
    const client = await server.client();
    client.send(headers(1));
    await client.roundTrip();
    server.pass(99_999);
    await client.roundTrip();
    expect(goaways(client)).toBe(0);
    server.pass(1);
    await client.until((f) => f.type === TYPE.goaway);
    server.pass(1_500);
    client.send(ping("draining", ACK));
    await client.roundTrip();
    expect(goaways(client)).toBe(2);
    await expectEnd(server, 10_000, "connection_age_grace");
    expect(server.seen(1).resetCode).toBe(8);
  });

  test("the grace of a client that does not acknowledge the drain starts after drainPingTimeoutMs", async () => {
    const server = new TestServer({
      limits: { maxConnectionAgeMs: 100_000, maxConnectionAgeGraceMs: 10_000, keepAliveIntervalMs: 0 },
    });
    const client = await server.client();
    client.send(headers(1));
    await client.roundTrip();
    server.pass(100_000);
    await client.until((f) => f.type === TYPE.goaway);
    await expectEnd(server, 12_000, "connection_age_grace");
  });

  test("a connection that was drained before it was too old gets its whole grace from its age on", async () => {
    const server = new TestServer({
      limits: { maxConnectionAgeMs: 100_000, maxConnectionAgeGraceMs: 10_000, keepAliveIntervalMs: 0 },
    });
    const client = await server.client();
    client.send(headers(1));
    await client.roundTrip();
    void server.connections.drain();
    await client.until((f) => f.type === TYPE.goaway);
    client.send(ping("draining", ACK));
    await client.roundTrip();
    expect(goaways(client)).toBe(2);
    await expectEnd(server, 110_000, "connection_age_grace");
  });

  test.each([20, 100, 499])(
    "a grace of %i ms is exact, though the server looks at its clock every 500 ms",
    async (graceMs) => {
      const connections = new Http2Connections({
        accept: () => ({ onData() {}, onEnd() {}, onReset() {} }),
        limits: resolveHttp2Limits({ maxConnectionAgeMs: 1, maxConnectionAgeGraceMs: graceMs }),
      });
      const [clientSide, serverSide] = duplexPair();
      connections.adopt(serverSide);
      const client = new RawClient(clientSide);
      await client.handshake();
      client.send(headers(1));
      await client.until((f) => f.type === TYPE.goaway);
      client.send(ping("draining", ACK));
      await client.roundTrip();
      const lastGoawayMs = performance.now();
      await client.closed();
      const tookMs = performance.now() - lastGoawayMs;
      expect(tookMs).toBeGreaterThanOrEqual(graceMs - 5);
      // A missed tick would add up to 500 ms. A busy machine is late too, but hardly that much.
      expect(tookMs).toBeLessThan(graceMs + 250);
      expect(connections.totals.connectionsEnded.connection_age_grace).toBe(1);
      connections.destroy();
    },
  );

  test("all timeouts of 0 never fire", async () => {
    const off = Object.fromEntries(
      ["preface", "settingsAck", "partialFrame", "writeStall", "idle"].map((name) => [`${name}TimeoutMs`, 0]),
    );
    const server = new TestServer({ limits: { ...off, keepAliveIntervalMs: 0, tickIntervalMs: 60_000 } });
    server.connect();
    server.pass(3_600_000);
    expect(server.totals.connections).toBe(1);
  });
});

test("a stall of this process causes no timeout", async () => {
  const server = new TestServer({ limits: { prefaceTimeoutMs: 10_000, tickIntervalMs: 1000 } });
  server.connect();
  server.stall(60_000);
  expect(server.totals.connectionsEnded.preface_timeout).toBe(0);
  server.pass(8000);
  expect(server.totals.connectionsEnded.preface_timeout).toBe(1);
});
