import { describe, expect, test } from "vitest";
import {
  ACK,
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  literal,
  PADDED,
  PREFACE,
  ping,
  REQUEST,
  rstStream,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

const OK = [[":status", "200"]] as const;
const answering = () => new TestServer({ handle: ({ stream }) => ({ onEnd: () => stream.respond(OK, true) }) });

/** A stream that has ended on both sides. */
const ended = headers(1, REQUEST, END_STREAM);

describe("a client that breaks the protocol", () => {
  test.each([
    ["DATA on stream 0", data(0, "x"), 1, "invalid_frame"],
    ["DATA on an idle stream", data(1, "x"), 1, "invalid_stream_state"],
    ["HEADERS on an even stream", headers(2), 1, "invalid_frame"],
    ["HEADERS on stream 0", headers(0), 1, "invalid_frame"],
    [
      "HEADERS with padding beyond its end",
      frame(1, { id: 1, flags: PADDED, payload: Buffer.of(9) }),
      1,
      "invalid_frame",
    ],
    [
      "HEADERS with half a priority",
      frame(1, { id: 1, flags: 0x24, payload: Buffer.alloc(4) }),
      6,
      "invalid_frame_size",
    ],
    ["HEADERS on a stream that was skipped", Buffer.concat([headers(5), headers(3)]), 1, "invalid_stream_state"],
    ["HEADERS on a stream that has ended", Buffer.concat([ended, headers(1)]), 5, "invalid_stream_state"],
    [
      "HPACK that does not decode",
      frame(1, { id: 1, flags: END_HEADERS, payload: Buffer.of(0x80) }),
      9,
      "invalid_hpack",
    ],
    ["CONTINUATION alone", continuation(1, Buffer.alloc(0)), 1, "invalid_frame"],
    [
      "CONTINUATION of another stream",
      Buffer.concat([frame(1, { id: 1 }), continuation(3, Buffer.alloc(0))]),
      1,
      "invalid_frame",
    ],
    ["a frame inside a header block", Buffer.concat([frame(1, { id: 1 }), ping()]), 1, "invalid_frame"],
    ["DATA inside a header block", Buffer.concat([headers(1), frame(1, { id: 3 }), data(1, "")]), 1, "invalid_frame"],
    ["RST_STREAM on stream 0", rstStream(0), 1, "invalid_stream_state"],
    ["RST_STREAM on an idle stream", rstStream(1), 1, "invalid_stream_state"],
    [
      "RST_STREAM of three bytes",
      Buffer.concat([headers(1), frame(3, { id: 1, payload: Buffer.alloc(3) })]),
      6,
      "invalid_frame_size",
    ],
    ["SETTINGS on a stream", frame(4, { id: 1 }), 1, "invalid_frame"],
    ["SETTINGS of five bytes", frame(4, { payload: Buffer.alloc(5) }), 6, "invalid_frame_size"],
    ["an acknowledgement with settings", frame(4, { flags: ACK, payload: Buffer.alloc(6) }), 6, "invalid_frame_size"],
    ["SETTINGS_ENABLE_PUSH 2", settings([2, 2]), 1, "invalid_frame"],
    ["SETTINGS_INITIAL_WINDOW_SIZE 2^31", settings([4, 2 ** 31]), 3, "flow_control_violation"],
    ["SETTINGS_MAX_FRAME_SIZE 16383", settings([5, 16_383]), 1, "invalid_frame"],
    ["SETTINGS_MAX_FRAME_SIZE 2^24", settings([5, 2 ** 24]), 1, "invalid_frame"],
    ["PING on a stream", frame(6, { id: 1, payload: Buffer.alloc(8) }), 1, "invalid_frame"],
    ["PING of seven bytes", frame(6, { payload: Buffer.alloc(7) }), 6, "invalid_frame_size"],
    ["GOAWAY on a stream", frame(7, { id: 1, payload: Buffer.alloc(8) }), 1, "invalid_frame"],
    ["GOAWAY of seven bytes", frame(7, { payload: Buffer.alloc(7) }), 6, "invalid_frame_size"],
    ["PUSH_PROMISE", frame(5, { id: 1, payload: uint32(2) }), 1, "invalid_frame"],
    ["PRIORITY on stream 0", frame(2, { payload: Buffer.alloc(5) }), 1, "invalid_frame"],
    [
      "PRIORITY of an idle stream on itself",
      frame(2, { id: 1, payload: Buffer.concat([uint32(1), Buffer.of(0)]) }),
      1,
      "invalid_frame",
    ],
    ["WINDOW_UPDATE of 0", windowUpdate(0, 0), 1, "invalid_frame"],
    ["WINDOW_UPDATE of three bytes", frame(8, { payload: Buffer.alloc(3) }), 6, "invalid_frame_size"],
    ["WINDOW_UPDATE on an idle stream", windowUpdate(1, 1), 1, "invalid_stream_state"],
    ["a connection window beyond 2^31-1", windowUpdate(0, 0x7fffffff), 3, "flow_control_violation"],
    [
      "a stream window beyond 2^31-1 by SETTINGS",
      Buffer.concat([headers(1), windowUpdate(1, 0x7fffffff - 65_535), settings([4, 65_536])]),
      3,
      "flow_control_violation",
    ],
  ] as const)(
    "a client that breaks the protocol gets the error, and its connection ends: %s",
    async (_name, bytes, code, reason) => {
      const server = answering();
      const client = await server.client();
      const other = await server.client();
      client.send(bytes);
      expect(await client.goaway()).toMatchObject({ code, debug: reason });
      await client.closed();
      expect(server.totals.connectionsEnded[reason]).toBe(1);
      other.send(headers(1, REQUEST, END_STREAM));
      await other.ended(1);
    },
  );

  test.each([
    ["a stream window beyond 2^31-1", windowUpdate(1, 0x7fffffff), 3],
    ["WINDOW_UPDATE of 0", windowUpdate(1, 0), 1],
    ["PRIORITY on itself", frame(2, { id: 1, payload: Buffer.concat([uint32(1), Buffer.of(0)]) }), 1],
    ["PRIORITY of four bytes", frame(2, { id: 1, payload: uint32(0) }), 6],
    ["DATA after END_STREAM", Buffer.concat([data(1, "", END_STREAM), data(1, "")]), 5],
    ["HEADERS after END_STREAM", Buffer.concat([data(1, "", END_STREAM), headers(1, [["x", "1"]], END_STREAM)]), 5],
  ] as const)("%s on an open stream ends only the stream", async (_name, bytes, code) => {
    const server = new TestServer();
    const client = await server.client();
    client.send(headers(1), bytes);
    expect(await client.resetCode(1)).toBe(code);
    await client.roundTrip();
    expect(server.seen(1).resetCode).toBe(code);
    expect(server.totals.streamErrors).toBe(1);
  });

  test("DATA on a stream that has ended is STREAM_CLOSED", async () => {
    const server = answering();
    const client = await server.client();
    client.send(ended, data(1, "x"));
    expect(await client.resetCode(1)).toBe(5);
    await client.roundTrip();
  });

  test("messages before the error are still answered, and later ones are ignored", async () => {
    const server = answering();
    const client = await server.client();
    client.send(ended, ping("1234567", 0), headers(3, REQUEST, END_STREAM));
    expect(await client.goaway()).toMatchObject({ lastId: 1, code: 6 });
    expect(client.has(TYPE.headers, 1)).toBe(true);
    expect(server.streams).toHaveLength(1);
  });
});

describe("the preface", () => {
  test.each([
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["a first frame that is not SETTINGS", Buffer.concat([PREFACE, ping()])],
    ["DATA first", Buffer.concat([PREFACE, data(1, "x")])],
    ["an acknowledgement first", Buffer.concat([PREFACE, frame(4, { flags: ACK })])],
  ])("the preface %s is refused", async (_name, bytes) => {
    const server = new TestServer();
    const { client } = server.connect();
    client.send(bytes);
    expect(await client.goaway()).toMatchObject({ code: 1, debug: "invalid_preface" });
    expect(server.totals.connectionsEnded.invalid_preface).toBe(1);
  });

  test("the server announces its limits first", async () => {
    const server = new TestServer({ limits: { maxConcurrentStreams: 7 } });
    const { client } = server.connect();
    const { payload } = await client.until((f) => f.type === TYPE.settings);
    const announced = Array.from({ length: payload.length / 6 }, (_, i) => [
      payload.readUInt16BE(6 * i),
      payload.readUInt32BE(6 * i + 2),
    ]);
    expect(announced).toEqual([
      [1, 4096],
      [3, 7],
      [4, 262_144],
      [5, 16_384],
      [6, 262_144],
    ]);
    expect((await client.until((f) => f.type === TYPE.windowUpdate)).payload.readUInt32BE(0)).toBe(16_777_216 - 65_535);
  });
});

describe("frames without effect", () => {
  test("unknown types, GOAWAY, PRIORITY, unknown settings and flags are ignored", async () => {
    const server = answering();
    const client = await server.client();
    client.send(
      frame(0xfe, { id: 77, flags: 0xff, payload: Buffer.alloc(100) }),
      frame(TYPE.goaway, { payload: Buffer.alloc(20) }),
      frame(TYPE.priority, { id: 9, payload: Buffer.alloc(5) }),
      settings([0x99, 1], [3, 0], [6, 1]),
      frame(TYPE.ping, { flags: 0xfe & ~ACK, payload: Buffer.from("abcdefgh") }),
    );
    await client.until((f) => f.type === TYPE.ping && f.flags === ACK && f.payload.toString() === "abcdefgh");
    client.send(headers(1, REQUEST, END_STREAM));
    await client.ended(1);
  });
});

describe("the client's HPACK table", () => {
  test("a smaller HPACK table of the client is acknowledged in front of the next header block, once", async () => {
    const server = answering();
    const client = await server.client([1, 0]);
    client.send(settings([1, 100]), headers(1, REQUEST, END_STREAM), headers(3, REQUEST, END_STREAM));
    await client.ended(3);
    const blocks = client.frames.filter((f) => f.type === TYPE.headers).map((f) => f.payload.toString("hex"));
    expect(blocks).toEqual(["2088", "88"]);
  });

  test("a larger HPACK table of the client needs no acknowledgement", async () => {
    const server = answering();
    const client = await server.client([1, 65_536]);
    client.send(headers(1, REQUEST, END_STREAM));
    await client.ended(1);
    expect(client.frames.find((f) => f.type === TYPE.headers)?.payload.toString("hex")).toBe("88");
  });

  test("a larger frame size of the client is used up to 64 KiB", async () => {
    const server = new TestServer({
      handle: ({ stream }) => {
        stream.respond(OK);
        stream.write(Buffer.alloc(200_000));
        return undefined;
      },
    });
    const client = await server.client([5, 1 << 20], [4, 1 << 20]);
    client.send(windowUpdate(0, 1 << 20), headers(1, [...REQUEST, ["x", literal("a", "b").toString("hex")]]));
    await client.until(() => client.body(1).length === 200_000);
    expect(Math.max(...client.frames.map((f) => f.payload.length))).toBe(65_536);
  });
});
