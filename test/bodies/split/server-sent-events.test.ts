import { describe, expect, test } from "vitest";
import { formatSseEvent, type ServerSentEvent } from "../../../src/bodies/split/server-sent-event.ts";
import { createSseSplitter, sseEvents } from "../../../src/bodies/split/server-sent-events.ts";
import { bounded, fc } from "../../property/seed.ts";
import { codeOf, cutInto, cuts, splitAll, textOf, utf8 } from "./splitting.ts";

const body = textOf(
  "\n",
  "\r",
  "\r\n",
  "\n\n",
  "data",
  "data:x",
  "data: y",
  ":",
  ": hi",
  "event:e",
  "id:1",
  "id:\0",
  "retry:5",
  "retry:x",
  "\ufeff",
  "é",
);

interface Dispatched {
  readonly type: string;
  readonly data: string;
}

/** The standard's own algorithm (section 9.2.6), over the whole text at once. */
function dispatched(text: string): Dispatched[] {
  const events: Dispatched[] = [];
  let data = "";
  let type = "";
  const all = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);
  // Text behind the last line end is not a line that could end a block.
  for (const line of all.slice(0, -1)) {
    if (line === "") {
      if (data !== "") events.push({ type: type || "message", data: data.replace(/\n$/, "") });
      data = "";
      type = "";
      continue;
    }
    const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line.includes(":") ? line : `${line}:`) ?? [];
    if (name === "data") data += `${value}\n`;
    if (name === "event") type = value;
  }
  return events;
}

const summary = ({ raw, complete, type, data, id, retryMs, comments }: ServerSentEvent) => {
  return { raw: Buffer.from(raw).toString(), complete, type, data, id, retryMs, comments };
};
const events = (text: string) => splitAll(createSseSplitter(), [utf8(text)]).items.map(summary);

describe("createSseSplitter", () => {
  test("createSseSplitter reads an event's fields", () => {
    expect(events(": note\nevent: add\ndata: a\ndata\ndata:  b\nid: 7\nretry: 300\n: c\n\n")).toEqual([
      {
        raw: ": note\n",
        complete: true,
        type: "message",
        data: undefined,
        id: undefined,
        retryMs: undefined,
        comments: ["note"],
      },
      {
        raw: expect.stringMatching(/^event/),
        complete: true,
        type: "add",
        data: "a\n\n b",
        id: "7",
        retryMs: 300,
        comments: ["c"],
      },
    ]);
  });

  test("createSseSplitter ignores what the standard ignores", () => {
    expect(events("id: a\0b\nretry: 1s\nData: x\nother: y\n\n")).toMatchObject([
      { id: undefined, retryMs: undefined, data: undefined },
    ]);
    expect(events("data:\n\n")).toMatchObject([{ data: "" }]);
    expect(events("\ufeffdata: x\n\n\ufeffdata: y\n\n")).toMatchObject([{ data: "x" }, { data: undefined }]);
  });

  test("createSseSplitter reports what the end of the body cuts off", () => {
    expect(events("data: a\n\ndata: b\n")).toMatchObject([
      { data: "a", complete: true },
      { data: "b", complete: false },
    ]);
    expect(events("data: a\r\r")).toMatchObject([{ data: "a", complete: true }]);
    expect(events("data: a\r")).toMatchObject([{ data: "a", complete: false }]);
  });

  test("createSseSplitter returns an event, or a comment, as soon as its last byte is there", () => {
    const splitter = createSseSplitter();
    const counts = [":", "\n", "data: 1\r", "\n\r\n", "data: 2\n", "\n"].map(
      (chunk) => splitter.push(utf8(chunk)).length,
    );
    expect(counts).toEqual([0, 1, 0, 1, 0, 1]);
  });

  test("createSseSplitter agrees with the standard's algorithm, cut anywhere", () => {
    fc.assert(
      fc.property(body, cuts, (text, sizes) => {
        const { items } = splitAll(createSseSplitter(), cutInto(utf8(text), sizes));
        const seen = items.filter((event) => event.complete && event.data !== undefined);
        expect(seen.map(({ type, data }) => ({ type, data }))).toEqual(dispatched(text));
      }),
      bounded(3000),
    );
  });

  test("createSseSplitter gives the same items cut anywhere, and all bytes in them", () => {
    fc.assert(
      fc.property(body, cuts, fc.constantFrom(3, 12, 1000), (text, sizes, maxEventBytes) => {
        const bytes = utf8(text);
        const whole = splitAll(createSseSplitter({ maxEventBytes }), [bytes]);
        const { items, failure, rest } = splitAll(createSseSplitter({ maxEventBytes }), cutInto(bytes, sizes));
        expect(items.map(summary)).toEqual(whole.items.map(summary));
        expect(failure).toBe(whole.failure);
        expect(items.every(({ raw }) => raw.length <= maxEventBytes)).toBe(true);
        expect(Buffer.concat([...items.map(({ raw }) => raw), rest]).equals(bytes)).toBe(true);
      }),
      bounded(3000),
    );
  });

  test("createSseSplitter ends at an event that is too large", () => {
    const splitter = createSseSplitter({ maxEventBytes: 100 });
    const codes = Array.from({ length: 4 }, () => codeOf(() => splitter.push(utf8("data: 6789012345678901234567\n"))));
    expect(codes).toEqual([undefined, undefined, undefined, "event_too_large"]);
  });

  test("createSseSplitter reads JSON if an event has JSON", () => {
    const [number, none, done] = splitAll(createSseSplitter(), [
      utf8("data: [1,\ndata: 2]\n\n:x\n\ndata: [DONE]\n\n"),
    ]).items;
    expect([number?.json, none?.json, done?.json]).toEqual([[1, 2], undefined, undefined]);
  });

  test("createSseSplitter writes an event again with other data", () => {
    const [, event] = splitAll(createSseSplitter(), [
      utf8(": a\nevent: add\r\nid: 1\ndata: x\nother: y\n: c\n\n"),
    ]).items;
    expect(Buffer.from(event?.withData("1\n2") ?? []).toString()).toBe(": c\nevent: add\nid: 1\ndata: 1\ndata: 2\n\n");
    const [plain] = splitAll(createSseSplitter(), [utf8("data: x\n\n")]).items;
    expect(Buffer.from(plain?.withData("y") ?? []).toString()).toBe("data: y\n\n");
  });

  test("createSseSplitter can be iterated", async () => {
    const seen: (string | undefined)[] = [];
    for await (const { data } of sseEvents([utf8("data: a\n\nda"), utf8("ta: b\n\n")])) seen.push(data);
    expect(seen).toEqual(["a", "b"]);
  });
});

describe("formatSseEvent", () => {
  test("formatSseEvent writes each line as a separate field", () => {
    const bytes = formatSseEvent({ type: "add", data: "a\r\nb\rc\n", id: "", retryMs: 10, comment: "x\ny" });
    expect(Buffer.from(bytes).toString()).toBe(
      ": x\n: y\nevent: add\nid: \nretry: 10\ndata: a\ndata: b\ndata: c\ndata: \n\n",
    );
  });

  test("formatSseEvent's output is read as it was written", () => {
    const line = fc.string().filter((text) => !/[\r\n\0]/.test(text));
    fc.assert(
      fc.property(line, line, textOf("a", "\n", " ", ":", "é"), (type, id, data) => {
        const [event] = splitAll(createSseSplitter(), [formatSseEvent({ type, id, data })]).items;
        expect(event).toMatchObject({ type: type || "message", id, data });
      }),
      bounded(500),
    );
  });

  test("formatSseEvent refuses a value that would become other lines", () => {
    for (const fields of [{ type: "a\ndata: b" }, { id: "1\r" }, { id: "\0" }, { retryMs: 1.5 }, { retryMs: -1 }]) {
      expect(() => formatSseEvent(fields)).toThrow(TypeError);
    }
  });
});
