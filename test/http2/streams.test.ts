import { once } from "node:events";
import { describe, expect, test } from "vitest";
import type { Http2Limits } from "../../src/http2/limits.ts";
import {
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  literal,
  PRIORITY,
  REQUEST,
  rstStream,
  TYPE,
  uint32,
  windowUpdate,
} from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;

/** Answers each request when it is complete, with its body. */
const echo = (limits: Partial<Http2Limits> = {}) =>
  new TestServer({
    limits,
    handle: ({ stream, body }) => ({
      onEnd() {
        stream.respond(OK);
        stream.write(Buffer.concat(body));
        stream.end([["x-trailer", "1"]]);
      },
    }),
  });

describe("a stream from request to response", () => {
  test("a stream passes headers, body and trailers, and answers with all three", async () => {
    const server = echo();
    const client = await server.client();
    client.send(headers(1), data(1, "hel"), data(1, "lo"), headers(1, [["x-sum", "5"]], END_STREAM));
    await client.ended(1);
    expect(server.seen(1).headers).toMatchObject({ method: "POST", path: "/", authority: "test" });
    expect(server.seen(1).trailers?.get("x-sum")).toBe("5");
    expect(client.body(1).toString()).toBe("hello");
    expect(server.totals).toMatchObject({ streamsOpened: 1, streams: 0 });
  });

  test("a header block in many CONTINUATION frames is one request", async () => {
    const server = echo();
    const client = await server.client();
    const whole = headers(1).subarray(9);
    client.send(frame(TYPE.headers, { id: 1, flags: END_STREAM, payload: whole.subarray(0, 4) }));
    client.send(continuation(1, whole.subarray(4, 5)), continuation(1, whole.subarray(5), END_HEADERS));
    await client.ended(1);
    expect(server.seen(1).headers.path).toBe("/");
  });

  test("padding and the deprecated priority fields are not part of the headers", async () => {
    const server = echo();
    const client = await server.client();
    const payload = Buffer.concat([Buffer.of(3), uint32(0), Buffer.of(16), headers(1).subarray(9), Buffer.alloc(3)]);
    client.send(frame(TYPE.headers, { id: 1, flags: PRIORITY | 8 | END_HEADERS | END_STREAM, payload }));
    await client.ended(1);
  });

  test("large response headers are split at the peer's frame size", async () => {
    const value = "v".repeat(40_000);
    const server = new TestServer({
      handle: ({ stream }) => ({ onEnd: () => stream.respond([...OK, ["x", value]], true) }),
    });
    const client = await server.client();
    client.send(headers(1, REQUEST, END_STREAM));
    await client.until((f) => f.type === TYPE.continuation && (f.flags & END_HEADERS) !== 0);
    const parts = client.frames.filter((f) => f.id === 1);
    expect(parts.map((f) => [f.type, f.flags])).toEqual([
      [TYPE.headers, END_STREAM],
      [TYPE.continuation, 0],
      [TYPE.continuation, END_HEADERS],
    ]);
    expect(Buffer.concat(parts.map((f) => f.payload)).includes(value)).toBe(true);
  });

  test("an informational response comes before the final one", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        stream.inform([[":status", "103"]]);
        stream.respond(OK, true);
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1, REQUEST, END_STREAM));
    await client.ended(1);
    expect(client.frames.filter((f) => f.type === TYPE.headers)).toHaveLength(2);
  });

  test("a response before the request's end declines the rest with NO_ERROR, and late frames are ignored", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        stream.respond(OK, true);
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1));
    expect(await client.resetCode(1)).toBe(0);
    client.send(data(1, "late"), windowUpdate(1, 5), headers(1, [["x", "1"]], END_STREAM), rstStream(1));
    client.send(headers(3));
    expect(await client.resetCode(3)).toBe(0);
    expect(client.has(TYPE.goaway, 0)).toBe(false);
    expect(server.seen(1)).toMatchObject({ resetCode: undefined, isEnded: false });
  });
});

describe("a handler that misbehaves", () => {
  test.each(["accept", "onData", "onEnd"] as const)(
    "an exception in %s resets only its stream with INTERNAL_ERROR",
    async (where) => {
      const error = new Error("broken");
      const fail = () => {
        throw error;
      };
      const server = new TestServer({
        handle: ({ stream }) => {
          if (stream.id !== 1) return { onEnd: () => stream.respond(OK, true) };
          return where === "accept" ? fail() : { [where]: fail };
        },
      });
      const client = await server.client();
      client.send(headers(1), data(1, "x", END_STREAM), headers(3, REQUEST, END_STREAM));
      expect(await client.resetCode(1)).toBe(2);
      await client.ended(3);
      expect(server.errors).toEqual([error]);
      expect(server.totals.handlerErrors).toBe(1);
    },
  );

  test("DATA before the headers, or headers twice, is an error of the caller", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        expect(() => stream.write(Buffer.from("x"))).toThrow("call respond() first");
        expect(() => stream.end()).toThrow("call respond() first");
        stream.respond(OK);
        expect(() => stream.respond(OK)).toThrow("sent already");
        stream.end();
        expect(stream.write(Buffer.from("x"))).toBe(true);
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1, REQUEST, END_STREAM));
    await client.ended(1);
    expect(client.body(1)).toHaveLength(0);
  });

  test("bytes of a frame that could not be filled are never sent", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        stream.respond(OK);
        stream.writeFrame(8, (target, offset) => {
          target[offset] = 1;
          throw new Error("no bytes");
        });
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1));
    expect(await client.resetCode(1)).toBe(2);
    expect(client.body(1)).toEqual(Buffer.alloc(8));
  });
});

describe("wrong requests", () => {
  test.each([
    ["malformed headers", headers(1, [[":method", "GET"]])],
    [
      "a stream that depends on itself",
      frame(1, {
        id: 1,
        flags: PRIORITY | END_HEADERS,
        payload: Buffer.concat([uint32(1), Buffer.of(0), headers(1).subarray(9)]),
      }),
    ],
    ["END_STREAM before content-length is reached", headers(1, [...REQUEST, ["content-length", "1"]], END_STREAM)],
    [
      "more DATA than content-length",
      Buffer.concat([headers(1, [...REQUEST, ["content-length", "1"]]), data(1, "ab")]),
    ],
    [
      "less DATA than content-length",
      Buffer.concat([headers(1, [...REQUEST, ["content-length", "3"]]), data(1, "ab", END_STREAM)]),
    ],
    [
      "trailers before content-length is reached",
      Buffer.concat([headers(1, [...REQUEST, ["content-length", "3"]]), headers(1, [["x", "1"]], END_STREAM)]),
    ],
    ["trailers without END_STREAM", Buffer.concat([headers(1), headers(1, [["x", "1"]])])],
    ["trailers with a pseudo-header field", Buffer.concat([headers(1), headers(1, [[":path", "/"]], END_STREAM)])],
  ])("a wrong request ends only its stream with RST_STREAM(PROTOCOL_ERROR): %s", async (_name, bytes) => {
    const server = echo();
    const client = await server.client();
    client.send(bytes, headers(3, REQUEST, END_STREAM));
    expect(await client.resetCode(1)).toBe(1);
    await client.ended(3);
    expect(server.totals.streamErrors).toBe(1);
  });

  test("headers over maxHeaderListBytes are answered with 431, and HPACK goes on", async () => {
    const server = echo({ maxHeaderListBytes: 32 * 1024 });
    const client = await server.client();
    const large = Buffer.concat([headers(1).subarray(9), literal("x", "v".repeat(16_000)), literal("y", "1", 0x40)]);
    const more = literal("z", "v".repeat(10_000));
    client.send(frame(TYPE.headers, { id: 1, payload: large }), continuation(1, more));
    client.send(continuation(1, more, END_HEADERS));
    const answer = await client.until((f) => f.type === TYPE.headers && f.id === 1);
    expect(answer.payload.toString("latin1")).toContain("431");
    expect(await client.resetCode(1)).toBe(0);
    const indexed = Buffer.concat([headers(3).subarray(9), Buffer.of(0xbe)]);
    client.send(frame(TYPE.headers, { id: 3, flags: END_STREAM | END_HEADERS, payload: indexed }));
    await client.ended(3);
    expect(server.seen(3).headers.get("y")).toBe("1");
    expect(server.totals.headerListsTooLarge).toBe(1);
    expect(server.streams).toHaveLength(1);
  });
});

describe("maxConcurrentStreams", () => {
  test("streams beyond maxConcurrentStreams are refused, and their headers still change the HPACK state", async () => {
    const server = new TestServer({ limits: { maxConcurrentStreams: 1 } });
    const client = await server.client();
    client.send(headers(1));
    const adding = Buffer.concat([headers(3).subarray(9), literal("y", "1", 0x40)]);
    client.send(frame(TYPE.headers, { id: 3, flags: END_HEADERS, payload: adding }));
    expect(await client.resetCode(3)).toBe(7);
    client.send(rstStream(1));
    const indexed = Buffer.concat([headers(5).subarray(9), Buffer.of(0xbe)]);
    client.send(frame(TYPE.headers, { id: 5, flags: END_HEADERS, payload: indexed }));
    await client.roundTrip();
    expect(server.seen(5).headers.get("y")).toBe("1");
    expect(server.totals).toMatchObject({ streamsRefused: 1, streamsOpened: 2 });
  });

  test("a handler that outlives its stream keeps its place until it releases it", async () => {
    const releases: (() => void)[] = [];
    const server = new TestServer({
      limits: { maxConcurrentStreams: 2 },
      handle: ({ stream }) => {
        releases.push(stream.hold());
        return undefined;
      },
    });
    const client = await server.client();
    client.send(headers(1), rstStream(1), headers(3), rstStream(3), headers(5));
    expect(await client.resetCode(5)).toBe(7);
    expect(server.totals).toMatchObject({ streamsHeld: 2, streams: 0, streamsRefused: 1 });
    releases[0]?.();
    releases[0]?.();
    expect(server.totals.streamsHeld).toBe(1);
    client.send(headers(7), headers(9));
    expect(await client.resetCode(9)).toBe(7);
    expect(server.seen(7).resetCode).toBeUndefined();
  });

  test("a handler that releases its place before its stream ends keeps nothing", async () => {
    const server = new TestServer({
      limits: { maxConcurrentStreams: 1 },
      handle: ({ stream }) => {
        stream.hold()();
        return undefined;
      },
    });
    const client = await server.client();
    for (let id = 1; id < 20; id += 2) client.send(headers(id), rstStream(id));
    await client.roundTrip();
    expect(server.totals).toMatchObject({ streamsOpened: 10, streamsHeld: 0, streamsRefused: 0 });
  });
});

describe("resets by the client", () => {
  test("resets by the client reach the handler with their code, and are counted by whether work had begun", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        if (stream.id === 3) stream.beginWork();
        if (stream.id === 5) stream.respond(OK);
        return undefined;
      },
    });
    const client = await server.client();
    for (const id of [1, 3, 5]) client.send(headers(id), rstStream(id, id));
    await client.roundTrip();
    expect(server.streams.map((seen) => seen.resetCode)).toEqual([1, 3, 5]);
    expect(server.totals).toMatchObject({ resetsBeforeWork: 1, resetsAfterWork: 2, streams: 0 });
  });

  test("all streams of a lost connection are reset", async () => {
    const server = new TestServer();
    const { client, serverSide } = server.connect();
    await client.handshake();
    client.send(headers(1), headers(3));
    await client.roundTrip();
    serverSide.destroy();
    await once(serverSide, "close");
    expect(server.streams.map((seen) => seen.resetCode)).toEqual([8, 8]);
    expect(server.ends).toMatchObject([{ reason: "closed_by_peer" }]);
    expect(server.totals).toMatchObject({ connections: 0, streams: 0 });
  });
});
