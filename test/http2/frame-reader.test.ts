import { describe, expect, test } from "vitest";
import { FrameReader, type FrameSink } from "../../src/http2/frame-reader.ts";
import { data, frame, headers, PADDED, PREFACE, ping, rstStream, settings, TYPE, windowUpdate } from "./raw-frames.ts";

/** Records the events of a reader. It joins the parts of a DATA frame, because they may be cut anywhere. */
function recorder() {
  const events: string[] = [];
  let body: Buffer[] = [];
  const sink: FrameSink = {
    onFrame: ({ type, flags, streamId, length, bytes, start, end }) => {
      events.push(`${type}/${flags}/${streamId}/${length} ${bytes.toString("hex", start, end)}`);
    },
    onDataStart: ({ flags, streamId, length }, padding) => {
      events.push(`DATA ${flags}/${streamId}/${length} padding ${padding}`);
      body = [];
    },
    onData: (bytes, start, end) => {
      body.push(Buffer.from(bytes.subarray(start, end)));
    },
    onDataEnd: () => {
      events.push(`END ${Buffer.concat(body).toString("latin1")}`);
    },
  };
  return { events, reader: new FrameReader(sink, 16_384) };
}

const padded = (id: number, text: string, padding: number) =>
  frame(TYPE.data, {
    id,
    flags: PADDED,
    payload: Buffer.concat([Buffer.of(padding), Buffer.from(text), Buffer.alloc(padding)]),
  });

const recorded = Buffer.concat([
  PREFACE,
  settings([3, 100], [4, 65_535]),
  headers(1),
  data(1, "hello"),
  data(1, ""),
  padded(1, "padded", 7),
  padded(1, "", 0),
  ping(),
  windowUpdate(0, 1000),
  data(1, "last", 1),
  rstStream(1),
  frame(0x77, { payload: Buffer.from("unknown") }),
]);

const EVENTS = [
  `4/0/0/12 ${settings([3, 100], [4, 65_535]).toString("hex", 9)}`,
  `1/4/1/${headers(1).length - 9} ${headers(1).toString("hex", 9)}`,
  "DATA 0/1/5 padding 0",
  "END hello",
  "DATA 0/1/0 padding 0",
  "END ",
  "DATA 8/1/14 padding 8",
  "END padded",
  "DATA 8/1/1 padding 1",
  "END ",
  `6/0/0/8 ${Buffer.from("12345678").toString("hex")}`,
  "8/0/0/4 000003e8",
  "DATA 1/1/4 padding 0",
  "END last",
  "3/0/1/4 00000008",
  `119/0/0/7 ${Buffer.from("unknown").toString("hex")}`,
];

describe("a recorded connection", () => {
  test("a recorded connection gives the same events in one piece", () => {
    const { events, reader } = recorder();
    reader.read(recorded);
    expect(events).toEqual(EVENTS);
    expect(reader.framesRead).toBe(11);
    expect(reader.position).toBe("between frames");
  });

  test("a recorded connection gives the same events cut in two anywhere", () => {
    for (let cut = 0; cut <= recorded.length; cut++) {
      const { events, reader } = recorder();
      reader.read(recorded.subarray(0, cut));
      reader.read(recorded.subarray(cut));
      expect(events, `cut at ${cut}`).toEqual(EVENTS);
    }
  });

  test("a recorded connection gives the same events cut in three anywhere", () => {
    for (let first = 0; first <= recorded.length; first++) {
      for (let second = first; second <= recorded.length; second += 7) {
        const { events, reader } = recorder();
        reader.read(recorded.subarray(0, first));
        reader.read(recorded.subarray(first, second));
        reader.read(recorded.subarray(second));
        expect(events, `cut at ${first} and ${second}`).toEqual(EVENTS);
      }
    }
  });

  test.each([1, 2, 3, 8, 9, 10])("a recorded connection gives the same events in pieces of %i bytes", (size) => {
    const { events, reader } = recorder();
    for (let at = 0; at < recorded.length; at += size) reader.read(recorded.subarray(at, at + size));
    expect(events).toEqual(EVENTS);
  });
});

test("the frame reader passes DATA on as it arrives, before the frame is complete", () => {
  const parts: number[] = [];
  const sink: FrameSink = {
    onFrame() {},
    onDataStart() {},
    onData: (_bytes, start, end) => void parts.push(end - start),
    onDataEnd() {},
  };
  const reader = new FrameReader(sink, 16_384);
  const bytes = Buffer.concat([PREFACE, data(1, Buffer.alloc(1000))]);
  reader.read(bytes.subarray(0, 133));
  expect(parts).toEqual([100]);
  expect(reader.position).toBe("inside DATA");
  reader.read(bytes.subarray(133));
  expect(parts).toEqual([100, 900]);
});

test.each([
  ["another preface", Buffer.from("GET / HTTP/1.1\r\n"), "invalid_preface", 1],
  [
    "a frame above the limit",
    Buffer.concat([PREFACE, Buffer.from("004001", "hex"), Buffer.alloc(6)]),
    "invalid_frame_size",
    6,
  ],
  [
    "padding longer than the frame",
    Buffer.concat([PREFACE, frame(0, { id: 1, flags: PADDED, payload: Buffer.of(1) })]),
    "invalid_frame",
    1,
  ],
  ["no pad length", Buffer.concat([PREFACE, frame(0, { id: 1, flags: PADDED })]), "invalid_frame_size", 6],
])("%s is an error, wherever it is cut", (_name, bytes, reason, code) => {
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { reader } = recorder();
    const read = () => {
      reader.read(bytes.subarray(0, cut));
      reader.read(bytes.subarray(cut));
    };
    expect(read, `cut at ${cut}`).toThrow(expect.objectContaining({ reason, code }));
  }
});

test("the frame reader stops in the middle of a read", () => {
  const { events, reader } = recorder();
  const stopping = new FrameReader(
    {
      onFrame: () => stopping.stop(),
      onDataStart() {
        events.push("DATA after stop");
      },
      onData() {},
      onDataEnd() {},
    },
    16_384,
  );
  stopping.read(recorded);
  expect(events).toEqual([]);
  expect(reader.position).toBe("preface");
});
