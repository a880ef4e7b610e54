import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compose, defineProcessor, replaceBody, replaceJson, replaceText, setHeader } from "../../../src/index.ts";
import { type Mode, sendIn as send } from "./upper.ts";

const sendIn = (processor: Parameters<typeof send>[0], mode: Mode, parts: Partial<Parameters<typeof send>[2]>) =>
  send(processor, mode, { request: {}, ...parts });
const latin1 = (text: string) => Buffer.from(text, "latin1");
const codes = (faults: readonly { readonly code: string }[]) => faults.map(({ code }) => code);
const typed = (bytes: Uint8Array, type: string) => ({ body: bytes, headers: { "content-type": type } });

function textProcessor(change: (text: string) => string | undefined) {
  const handle = (text: string) => {
    const changed = change(text);
    return changed === undefined ? undefined : replaceText(changed);
  };
  return defineProcessor({ name: "p", requestBody: { read: "text", handle }, responseBody: { read: "text", handle } });
}

const excited = textProcessor((text) => `${text}!`);

describe("a text in another charset", () => {
  test.each([
    ["iso-8859-1", latin1("caf\xe9"), latin1("caf\xe9!")],
    ["windows-1252", latin1("\x80"), latin1("\x80!")],
    ["koi8-r", latin1("\xc1"), latin1("\xc1!")],
    ["utf-16le", Buffer.from("é", "utf16le"), Buffer.from("é!", "utf16le")],
    ["utf-8", latin1("\xef\xbb\xbf\xc3\xa9"), latin1("\xef\xbb\xbf\xc3\xa9!")],
    ["x-nobody-knows", latin1("\xc3\xa9"), latin1("\xc3\xa9!")],
  ])("a text in another charset leaves in that charset: %s", async (charset, body, expected) => {
    const { response, faults } = await sendIn(excited, "BUFFERED", {
      upstream: typed(body, `text/plain; charset=${charset}`),
    });
    expect(faults).toEqual([]);
    expect(Buffer.from(response?.bytes ?? [])).toEqual(expected);
    expect(response?.headers["content-type"]).toBe(`text/plain; charset=${charset}`);
  });

  test("the handler of a text in another charset sees its characters", async () => {
    const seen: string[] = [];
    const watching = textProcessor((text) => void seen.push(text));
    await sendIn(watching, "BUFFERED", { upstream: typed(latin1("caf\xe9"), 'text/plain; charset="ISO-8859-1"') });
    await sendIn(watching, "BUFFERED", { upstream: typed(latin1("\x82\xa0"), "text/plain; charset=shift_jis") });
    expect(seen).toEqual(["café", "あ"]);
  });

  test.each([
    ["shift_jis", latin1("\x82\xa0"), "あ!"],
    ["gbk", latin1("\xc4\xe3"), "你!"],
  ])(
    "a text in another charset leaves in UTF-8, and content-type says so, if the charset can only be decoded: %s",
    async (charset, body, expected) => {
      const { response, faults } = await sendIn(excited, "BUFFERED", {
        upstream: typed(body, `text/plain; charset=${charset}; x=y`),
      });
      expect(faults).toEqual([]);
      expect(response).toMatchObject({ body: expected, headers: { "content-type": "text/plain; charset=utf-8; x=y" } });
    },
  );

  test.each(["BUFFERED", "FULL_DUPLEX_STREAMED"] as const)(
    "a text in another charset leaves in UTF-8, and content-type says so, if the charset lacks a character of the new text: %s",
    async (mode) => {
      const arrow = textProcessor((text) => `${text} →`);
      const upstream = typed(latin1("caf\xe9"), "text/plain; charset=iso-8859-1");
      const { response, faults } = await sendIn(arrow, mode, { upstream });
      expect(faults).toEqual([]);
      expect(response).toMatchObject({ body: "café →", headers: { "content-type": "text/plain; charset=utf-8" } });
    },
  );

  test("a text that the charset cannot encode is a fault once content-type has left, so the label is never wrong", async () => {
    const arrow = textProcessor((text) => `${text} →`);
    const body = latin1("caf\xe9");
    const request = { ...typed(body, "text/plain; charset=iso-8859-1"), method: "POST" };
    request.headers = { ...request.headers, "content-length": "4" } as never;
    const { faults } = await sendIn(arrow, "STREAMED", { request });
    expect(codes(faults)).toEqual(["headers_already_sent"]);
    const { request: sent, faults: none } = await sendIn(excited, "STREAMED", { request });
    expect(none).toEqual([]);
    expect(Buffer.from(sent?.bytes ?? [])).toEqual(latin1("caf\xe9!"));
  });

  test("a text is written in the charset that a handler gives it", async () => {
    const handle = (text: string) => [replaceText(`${text}→`), setHeader("content-type", "text/plain; charset=utf-8")];
    const processor = defineProcessor({ name: "p", responseBody: { read: "text", handle } });
    const upstream = typed(latin1("caf\xe9"), "text/plain; charset=iso-8859-1");
    const { response, faults } = await sendIn(processor, "BUFFERED", { upstream });
    expect(faults).toEqual([]);
    expect(response).toMatchObject({ body: "café→", headers: { "content-type": "text/plain; charset=utf-8" } });
  });

  test("the next handler reads a text as the handler before wrote it", async () => {
    const seen: string[] = [];
    const first = defineProcessor({
      name: "a",
      requestBody: { read: "text", handle: (text) => replaceText(`${text}→`) },
    });
    const second = defineProcessor({
      name: "b",
      requestBody: { read: "text", handle: (text) => void seen.push(text) },
    });
    const bytes = defineProcessor({
      name: "c",
      requestBody: {
        read: "whole",
        handle: () => [replaceBody(latin1("\xe9")), setHeader("content-type", "text/plain; charset=latin1")],
      },
    });
    const request = typed(latin1("caf\xe9"), "text/plain; charset=iso-8859-1");
    const last = defineProcessor({ name: "d", requestBody: { read: "text", handle: (text) => void seen.push(text) } });
    const { faults } = await sendIn(compose(first, second, bytes, last), "BUFFERED", { request });
    expect(faults).toEqual([]);
    expect(seen).toEqual(["café→", "é"]);
  });
});

describe("a body that its handler leaves as it is", () => {
  test.each([
    ["nothing is returned", (_text: string) => undefined],
    ["the same text is returned", (text: string) => text],
  ])("an unchanged body goes on byte for byte, with its coding and its validators, if %s", async (_what, change) => {
    const body = gzipSync(latin1("\xef\xbb\xbfcaf\xc3\xa9"));
    const headers = { "content-type": "text/plain", "content-encoding": "gzip", etag: '"a"' };
    const { response, faults } = await sendIn(textProcessor(change), "BUFFERED", { upstream: { body, headers } });
    expect(faults).toEqual([]);
    expect(Buffer.from(response?.bytes ?? [])).toEqual(body);
    expect(response?.headers.etag).toBe('"a"');
  });
});

describe("bytes that do not fit the charset", () => {
  test.each([
    ["text", "text/plain", "caf\xe9"],
    ["text", "text/plain; charset=shift_jis", "\x83"],
    ["text", "text/plain; charset=utf-16le", "a"],
    ["text", "text/plain; charset=x-nobody-knows", "\xe9"],
    ["json", "application/json", '{"a":"\xe9"}'],
  ] as const)("bytes that do not fit the charset are fault body_undecodable for %s in %s", async (read, type, body) => {
    let calls = 0;
    const handle = () => void calls++;
    const processor = defineProcessor({ name: "p", onFault: "closed", requestBody: { read, handle } });
    const { response, faults } = await sendIn(processor, "BUFFERED", { request: typed(latin1(body), type) });
    expect(codes(faults)).toEqual(["body_undecodable"]);
    expect([calls, response?.status]).toEqual([0, 400]);
  });
});

describe("JSON in other charsets", () => {
  const seen = defineProcessor({
    name: "p",
    requestBody: { read: "json", handle: (value) => replaceJson({ ...(value as object), seen: true }) },
  });

  test.each([
    [
      "in UTF-8",
      "application/json",
      Buffer.from('{"id":12345678901234567890, "p":1.10}'),
      '{"id":12345678901234567890, "p":1.10, "seen":true}',
    ],
    [
      "in latin1",
      "application/json; charset=iso-8859-1",
      latin1('{"a":"\xe9","e":1e400}'),
      '{"a":"é","e":1e400,"seen":true}',
    ],
    ["in UTF-16", "application/json", Buffer.from('{"a":1.0}', "utf16le"), '{"a":1.0,"seen":true}'],
  ])("JSON %s keeps everything but what its handler changed", async (_what, type, body, expected) => {
    const { request, faults } = await sendIn(seen, "BUFFERED", { request: typed(body, type) });
    expect(faults).toEqual([]);
    const bytes = Buffer.from(request?.bytes ?? []);
    const encoding = type.includes("8859") ? "latin1" : bytes[1] === 0 ? "utf16le" : "utf8";
    expect(bytes.toString(encoding)).toBe(expected);
  });

  test.each(["whole", "text"] as const)(
    "JSON keeps its source text for a handler that reads it as %s",
    async (read) => {
      const handle = (body: unknown) => {
        const text = typeof body === "string" ? body : Buffer.from((body as { bytes: Uint8Array }).bytes).toString();
        return replaceJson({ ...JSON.parse(text), seen: true });
      };
      const processor = defineProcessor({ name: "p", requestBody: { read, handle } });
      const request = typed(Buffer.from('{"id":12345678901234567890}'), "application/json");
      expect((await sendIn(processor, "BUFFERED", { request })).request?.body).toBe(
        '{"id":12345678901234567890,"seen":true}',
      );
    },
  );
});
