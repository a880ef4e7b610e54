import { describe, expect, test } from "vitest";
import {
  createJsonLineParser,
  createLineSplitter,
  createReplacer,
  createSseSplitter,
  createUtf8Decoder,
  formatLine,
} from "../../src/index.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("latin1");

describe("bytes that are not UTF-8", () => {
  test("bytes that are not UTF-8 stay in a line with another text", () => {
    const [line] = createLineSplitter().push(latin1("caf\xe9 \xc3\xa9\r\n"));
    expect(textOf(line?.withText(line.text.replace("caf", "cup")))).toBe("cup\xe9 \xc3\xa9\r\n");
    expect(textOf(formatLine(line?.text ?? ""))).toBe("caf\xe9 \xc3\xa9\n");
  });

  test("bytes that are not UTF-8 stay in the comments and the data of an event", () => {
    const [comment, event] = createSseSplitter().push(latin1(": \xe9\nid: \xfc\ndata: \xe4\n\n"));
    expect(textOf(comment?.withData("x"))).toBe(": \xe9\ndata: x\n\n");
    expect(textOf(event?.withData(`${event.data}!`))).toBe("id: \xfc\ndata: \xe4!\n\n");
  });

  test("bytes that are not UTF-8 stay in a match that a function replaces", () => {
    const replacer = createReplacer({ pattern: /a.b/, maxMatchBytes: 3, replacement: (match) => `<${match}>` });
    expect(textOf(replacer.push(latin1("1a\xe9b2"))) + textOf(replacer.end())).toBe("1<a\xe9b>2");
  });

  test("bytes that are not UTF-8 end a text decoder unless they are to be replaced", () => {
    expect(() => createUtf8Decoder().push(latin1("\xe9a"))).toThrow("invalid_utf8");
    expect(createUtf8Decoder({ invalid: "replace" }).push(latin1("\xe9a"))).toBe("\ufffda");
  });
});

describe("the source text of JSON", () => {
  test("the source text of JSON stays in a line with another value, with its end and its byte order mark", () => {
    const [first, second] = createJsonLineParser().push(latin1('\xef\xbb\xbf{"id":12345678901234567890}\r\n[1.10]\n'));
    expect(first?.kind === "value" && textOf(first.withValue({ ...(first.value as object), n: 1 }))).toBe(
      '\xef\xbb\xbf{"id":12345678901234567890,"n":1}\r\n',
    );
    expect(second?.kind === "value" && textOf(second.withValue({ row: second.value }))).toBe('{"row":[1.10]}\n');
    expect(() => second?.kind === "value" && second.withValue(() => 1)).toThrow("cannot be written as JSON");
  });

  test("the source text of JSON stays in an event with another value, with its byte order mark", () => {
    const [event, done] = createSseSplitter().push(
      latin1('\xef\xbb\xbfdata: {"p":1.10,\ndata: "n":1}\n\ndata: [DONE]\n\n'),
    );
    expect(textOf(event?.withJson({ ...(event.json as object), n: 2 }))).toBe(
      '\xef\xbb\xbfdata: {"p":1.10,\ndata: "n":2}\n\n',
    );
    expect(textOf(done?.withJson({ a: 1 }))).toBe('data: {"a":1}\n\n');
  });
});
