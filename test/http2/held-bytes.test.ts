import { describe, expect, test } from "vitest";
import { createTotals } from "../../src/http2/totals.ts";
import { data, END_STREAM, headers, rstStream, settings, TYPE, windowUpdate } from "./raw-frames.ts";
import { type SeenStream, TestServer } from "./test-server.ts";

const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;
/** SETTINGS_INITIAL_WINDOW_SIZE. */
const WINDOW = 4;

/** Answers each request with this many bytes, in one piece. */
function answering(bytes: number) {
  return ({ stream }: SeenStream) => ({
    onEnd() {
      stream.respond([[":status", "200"]]);
      stream.write(Buffer.alloc(bytes));
      stream.end();
    },
  });
}

describe("answers that wait", () => {
  test("answers that wait are counted until they are sent, and an answer that is sent at once is not", async () => {
    const server = new TestServer({ handle: answering(10_000) });
    const client = await server.client([WINDOW, 10_000]);
    client.send(headers(1, undefined, END_STREAM));
    await client.ended(1);
    expect(server.memory.answers.peakBytes).toBe(0);
    client.send(settings([WINDOW, 0]), headers(3, undefined, END_STREAM));
    await client.roundTrip();
    expect(server.memory.answers.heldBytes).toBe(10_000);
    // If half of an answer waits, all of it stays in memory.
    client.send(windowUpdate(3, 9_999));
    await client.roundTrip();
    expect(server.memory.answers.heldBytes).toBe(10_000);
    client.send(windowUpdate(3, 1));
    await client.ended(3);
    expect(server.memory.answers.heldBytes).toBe(0);
  });

  test.each<[string, (server: TestServer, client: Awaited<ReturnType<TestServer["client"]>>) => void]>([
    ["the client resets the stream", (_server, client) => client.send(rstStream(1))],
    ["the application resets the stream", (server) => server.seen(1).stream.reset()],
    ["the client closes the connection", (_server, client) => client.socket.end()],
    ["the server closes the connection", (server) => server.connections.close()],
  ])("answers that wait are no longer counted when %s", async (_name, end) => {
    const server = new TestServer({ handle: answering(10_000) });
    const client = await server.client([WINDOW, 100]);
    client.send(headers(1, undefined, END_STREAM));
    await client.roundTrip();
    expect(server.memory.answers.heldBytes).toBe(10_000);
    end(server, client);
    await expect.poll(() => server.memory.answers.heldBytes).toBe(0);
  });

  test("answers that wait without room end their own stream, and its handler is told", async () => {
    const server = new TestServer({ memory: { answers: 100_000 }, handle: answering(30_000) });
    const client = await server.client([WINDOW, 0]);
    client.send(headers(1, undefined, END_STREAM), headers(3, undefined, END_STREAM));
    expect(await client.resetCode(3)).toBe(ENHANCE_YOUR_CALM);
    expect(server.seen(3).resetCode).toBe(ENHANCE_YOUR_CALM);
    expect(server.shed).toEqual(["answer_memory"]);
    expect(server.totals.streamsShed).toEqual({ ...createTotals().streamsShed, answer_memory: 1 });
    expect(server.memory.answers).toMatchObject({ heldBytes: 30_000, refusals: 1 });
    client.send(windowUpdate(1, 30_000));
    await client.ended(1);
    expect(server.ends).toEqual([]);
  });

  test("answers that wait leave room for other connections", async () => {
    const server = new TestServer({ memory: { answers: 100_000 }, handle: answering(10_000) });
    const [greedy, modest] = [await server.client([WINDOW, 0]), await server.client([WINDOW, 0])];
    greedy.send(...[1, 3, 5, 7, 9, 11, 13].map((id) => headers(id, undefined, END_STREAM)));
    await greedy.roundTrip();
    expect(server.totals.streamsShed.answer_memory).toBe(2);
    modest.send(headers(1, undefined, END_STREAM), headers(3, undefined, END_STREAM));
    await modest.roundTrip();
    expect(server.totals.streamsShed.answer_memory).toBe(2);
    expect(server.memory.answers.heldBytes).toBe(70_000);
  });

  test("answers that wait end their own stream if the client accepts no byte for answerStallTimeoutMs", async () => {
    const server = new TestServer({ limits: { keepAliveIntervalMs: 0 }, handle: answering(10_000) });
    const client = await server.client([WINDOW, 100]);
    client.send(headers(1, undefined, END_STREAM), headers(3, undefined, END_STREAM));
    await client.roundTrip();
    server.pass(59_000);
    client.send(windowUpdate(3, 1));
    await client.roundTrip();
    server.pass(2_000);
    expect(await client.resetCode(1)).toBe(CANCEL);
    expect(server.seen(1).resetCode).toBe(CANCEL);
    expect(server.shed).toEqual(["answer_stalled"]);
    expect(server.seen(3).resetCode).toBeUndefined();
    server.pass(60_000);
    expect(await client.resetCode(3)).toBe(CANCEL);
    expect(server.memory.answers.heldBytes).toBe(0);
  });
});

/** Keeps everything that it receives, as half a message. */
function keeping(refused: number[] = []) {
  return ({ stream }: SeenStream) => ({
    onData(_bytes: Buffer, start: number, end: number) {
      if (!stream.holdReceived(end - start)) refused.push(stream.id);
    },
    isMidMessage: () => true,
  });
}

describe("received bytes that a handler keeps", () => {
  test("received bytes that a handler keeps are counted until it releases them, or the stream is over", async () => {
    const server = new TestServer({ handle: keeping() });
    const client = await server.client();
    client.send(headers(1), data(1, Buffer.alloc(1000)), headers(3), data(3, Buffer.alloc(500)));
    await client.roundTrip();
    expect(server.memory.messages.heldBytes).toBe(1500);
    server.seen(1).stream.releaseReceived(400);
    expect(server.memory.messages.heldBytes).toBe(1100);
    client.send(rstStream(1));
    await client.roundTrip();
    expect(server.memory.messages.heldBytes).toBe(500);
    server.seen(1).stream.releaseReceived(600);
    expect(server.seen(1).stream.holdReceived(1)).toBe(true);
    client.socket.end();
    await expect.poll(() => server.memory.messages.heldBytes).toBe(0);
  });

  test("received bytes that a handler keeps may use all free room: a single connection holds half of what there is", async () => {
    const refused: number[] = [];
    const server = new TestServer({ memory: { messages: 4000 }, handle: keeping(refused) });
    const client = await server.client();
    client.send(headers(1), data(1, Buffer.alloc(2000)), headers(3), data(3, Buffer.alloc(1)));
    await client.roundTrip();
    expect(refused).toEqual([3]);
    expect(server.memory.messages).toMatchObject({ heldBytes: 2000, refusals: 1 });
  });

  test("received bytes that a handler keeps end their own stream if the client sends no more for messageStallTimeoutMs", async () => {
    const server = new TestServer({ limits: { keepAliveIntervalMs: 0 }, handle: keeping() });
    const client = await server.client();
    client.send(headers(1), data(1, "half"), headers(3), data(3, "half"));
    await client.roundTrip();
    server.pass(29_000);
    client.send(data(3, "more"));
    await client.roundTrip();
    server.pass(2_000);
    expect(await client.resetCode(1)).toBe(CANCEL);
    expect(server.seen(1).resetCode).toBe(CANCEL);
    expect(server.shed).toEqual(["message_stalled"]);
    server.pass(30_000);
    expect(await client.resetCode(3)).toBe(CANCEL);
    expect(server.memory.messages.heldBytes).toBe(0);
  });

  test.each<[string, (server: TestServer, client: Awaited<ReturnType<TestServer["client"]>>) => void]>([
    ["the stream is paused", (server) => server.seen(1).stream.pause()],
    [
      "its answers wait",
      (server) => {
        server.seen(1).stream.respond([[":status", "200"]]);
        server.seen(1).stream.write(Buffer.alloc(100_000));
      },
    ],
    ["its request is complete", (_server, client) => client.send(data(1, "", END_STREAM))],
  ])("received bytes that a handler keeps are not timed while %s", async (_name, act) => {
    const server = new TestServer({ limits: { keepAliveIntervalMs: 0, answerStallTimeoutMs: 0 }, handle: keeping() });
    const client = await server.client([WINDOW, 0]);
    client.send(headers(1), data(1, "half"));
    await client.roundTrip();
    act(server, client);
    await client.roundTrip();
    server.pass(100_000);
    expect(server.shed).toEqual([]);
    expect(client.has(TYPE.rstStream, 1)).toBe(false);
  });

  test("received bytes that a handler keeps are not timed while no more of a message is expected", async () => {
    const handle = ({ stream }: SeenStream) => ({
      onData: () => void stream.holdReceived(10),
      isMidMessage: () => false,
    });
    const server = new TestServer({ limits: { keepAliveIntervalMs: 0 }, handle });
    const client = await server.client();
    client.send(headers(1), data(1, "whole"));
    await client.roundTrip();
    server.pass(100_000);
    expect(server.shed).toEqual([]);
  });
});

describe("bytes that wait for the kernel", () => {
  /** A server whose client reads nothing, with an answer of this many bytes on its way. */
  async function notRead(bytes: number, memory: { answers: number }) {
    const server = new TestServer({ memory, handle: answering(bytes) });
    const { client, serverSide, connection } = server.connect();
    await client.handshake([WINDOW, 0x7fff_ffff]);
    client.send(windowUpdate(0, 0x7fff_0000));
    await client.roundTrip();
    client.socket.pause();
    client.send(headers(1, undefined, END_STREAM));
    await expect.poll(() => serverSide.writableLength).toBeGreaterThan(0);
    return { server, client, serverSide, connection };
  }

  test("bytes that wait for the kernel count as answers, and the high-water mark is lower if these have no room", async () => {
    const roomy = await notRead(4_000_000, { answers: 20_000_000 });
    expect(roomy.serverSide.writableLength).toBeGreaterThan(200_000);
    expect(roomy.server.memory.answers.heldBytes).toBeGreaterThan(4_150_000);
    const tight = await notRead(4_000_000, { answers: 8_050_000 });
    expect(tight.serverSide.writableLength).toBeLessThan(150_000);
    expect(tight.server.totals.streamsShed.answer_memory).toBe(0);
  });

  test("bytes that wait for the kernel are no longer counted when the client has read them, or the connection is gone", async () => {
    const read = await notRead(400_000, { answers: 2_000_000 });
    read.client.socket.resume();
    await read.client.ended(1);
    await expect.poll(() => read.server.memory.answers.heldBytes).toBe(0);
    const gone = await notRead(400_000, { answers: 2_000_000 });
    gone.connection.destroy();
    await expect.poll(() => gone.server.memory.answers.heldBytes).toBe(0);
  });
});
