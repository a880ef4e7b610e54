import { describe, expect, test, vi } from "vitest";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { parseContentEncoding } from "../../src/bodies/coding/content-encoding.ts";
import { writeJson } from "../../src/bodies/json/json-merge.ts";
import { createJsonLineParser } from "../../src/bodies/split/json-lines.ts";
import { createLineSplitter } from "../../src/bodies/split/lines.ts";
import { createReplacer } from "../../src/bodies/split/replacer.ts";
import { createSseSplitter } from "../../src/bodies/split/server-sent-events.ts";
import { createUtf8Decoder } from "../../src/bodies/split/utf8-text.ts";
import { parseGrpcTimeout } from "../../src/grpc/grpc-timeout.ts";
import { MessageReader } from "../../src/grpc/message-reader.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { compose, defineProcessor, definitionsOf } from "../../src/processor/definition.ts";
import { RouteConfigs } from "../../src/processor/route-config.ts";
import { ProtocolRecognizer } from "../../src/server/listen/protocol-sniffer.ts";
import { boundedLog } from "../../src/server/log/bounded-log.ts";
import { EnvelopeJoiner } from "../../src/services/connect/envelope-joiner.ts";
import { charsetOf, decodeText, encodingOf, withUtf8Charset } from "../../src/text/charset.ts";
import { escapedBytes, escapedText } from "../../src/text/escaped-text.ts";
import { failureText } from "../../src/text/failure-text.ts";
import { hasMoreElements } from "../../src/text/json-elements.ts";
import { decodeRequest } from "../../src/wire/decode-request.ts";
import { bytesToText, textToBytes } from "../../src/wire/header-text.ts";
import { checkFieldCount } from "../../src/wire/message-limits.ts";
import { isSuperLinear } from "./growth.ts";

/** The text that an attacker repeats, behind a prefix that it may need. */
const REPEATED: readonly (readonly [before: string, repeated: string])[] = [
  ...[" ", "\t", ",", ";", ":", "=", "a", "0", "\\", '"', "[", "{", "\n", "\r", "\u0000", "\u00e9", "\ud83d\ude00"].map(
    (repeated) => ["", repeated] as const,
  ),
  ["a", " "],
  ['"', '\\"'],
  ["", "a, "],
  ["", "; charset="],
  ["; charset", " "],
  ["", "://"],
  ["", "data: a\n"],
  ["", ": a\r"],
  ["data: ", "a\r"],
  ["", "http:/"],
  ["", "1234567890123"],
  ["\u00ef\u00bb\u00bf", "\u00ef\u00bb\u00bf"],
];
const MAX_SIZE = 1 << 12;
const PIECE_BYTES = 7;

vi.setConfig({ testTimeout: 120_000 });

const textsOf = ([before, repeated]: (typeof REPEATED)[number]) => {
  return (count: number) => Buffer.from(before + repeated.repeat(count), "latin1").toString("latin1");
};

function expectLinear(parse: (text: string) => unknown): void {
  const slow = REPEATED.filter((row) => {
    const textOf = textsOf(row);
    const work = (count: number) => {
      const text = textOf(count);
      return () => void tried(() => parse(text));
    };
    return isSuperLinear(work, MAX_SIZE);
  });
  expect(slow).toEqual([]);
}

/** A parser may throw to refuse a text. */
function tried(parse: () => unknown): void {
  try {
    parse();
  } catch {
    // Refused.
  }
}

test("the measurement finds work that grows with the square of its input", () => {
  const work = (count: number) => {
    const text = `a${" ".repeat(count)}b`;
    return () => void text.replace(/^[ \t]+|[ \t]+$/g, "");
  };
  expect(isSuperLinear(work, MAX_SIZE)).toBe(true);
});

describe("time for text from a client", () => {
  test.each<[string, (text: string) => unknown]>([
    ["content-encoding", parseContentEncoding],
    ["the charset of content-type", charsetOf],
    ["a new charset in content-type", withUtf8Charset],
    ["text to bytes of a header", textToBytes],
    ["text with escapes to bytes", escapedBytes],
    ["grpc-timeout", parseGrpcTimeout],
    ["the text of a failure", (text) => failureText(new Error(text))],
    ["a log line", (text) => boundedLog({ info() {}, warn() {}, error() {} }).info({ path: text, text: [text] }, text)],
  ])("text from a client takes time in proportion to its length: %s", (_name, parse) => expectLinear(parse));
});

interface Splitting {
  push(bytes: Uint8Array): unknown;
  end(): unknown;
}

const splitters: readonly [string, () => Splitting][] = [
  ["lines", () => createLineSplitter({ maxLineBytes: 1 << 30 })],
  ["lines that a CR may end", () => createLineSplitter({ maxLineBytes: 1 << 30, loneCarriageReturn: true })],
  ["JSON lines", () => createJsonLineParser({ maxLineBytes: 1 << 30 })],
  ["server-sent events", readEvents],
  ["UTF-8", () => createUtf8Decoder({ invalid: "replace" })],
  ["replaced strings", () => createReplacer({ pattern: ["http://", "aaaab", "; charset=;"], replacement: "x" })],
  ["a replaced RegExp", () => createReplacer({ pattern: /\b\d{13,19}\b/, maxMatchBytes: 19, replacement: "x" })],
  ["gRPC messages", grpcMessages],
  ["envelopes", envelopes],
];

/** Reads the fields of each event too. */
function readEvents(): Splitting {
  const events = createSseSplitter({ maxEventBytes: 1 << 30 });
  return {
    push: (bytes) => events.push(bytes).map(({ data, comments }) => [data, comments]),
    end: () => events.end().map(({ data, comments }) => [data, comments]),
  };
}

function grpcMessages(): Splitting {
  const sink = { onMessage: () => true, onOversized() {}, onUnreadable() {} };
  const reader = new MessageReader(sink, 1 << 30);
  return { push: (bytes) => reader.read(bytes, 0, bytes.length), end: () => reader.stop() };
}

function envelopes(): Splitting {
  const joiner = new EnvelopeJoiner();
  return { push: (bytes) => [...joiner.push(bytes)], end: () => joiner.rest() };
}

describe.each(splitters)("time for a body: %s", (_name, create) => {
  test.each([
    ["in one piece", Number.POSITIVE_INFINITY],
    ["in pieces of 7 bytes", PIECE_BYTES],
  ])("a body takes time in proportion to its length: %s", (_cut, pieceBytes) => {
    expectLinear((text) => {
      const bytes = Buffer.from(text, "latin1");
      const splitter = create();
      for (let at = 0; at < bytes.length; at += pieceBytes) splitter.push(bytes.subarray(at, at + pieceBytes));
      splitter.end();
    });
  });
});

describe("time for bytes", () => {
  const json = { json: true };
  test.each<[string, (bytes: Buffer) => unknown]>([
    ["text of a header", bytesToText],
    ["text with escapes", escapedText],
    ["text in UTF-8", (bytes) => decodeText(bytes, encodingOf(bytes, "utf-8", json))],
    ["text in windows-1252", (bytes) => decodeText(bytes, encodingOf(bytes, "windows-1252", json))],
    ["text in Shift JIS", (bytes) => decodeText(bytes, encodingOf(bytes, "shift_jis", json))],
    ["a message of Envoy's", decodeRequest],
    ["fields of a message", (bytes) => checkFieldCount(ProcessingRequestSchema, bytes, 1)],
    ["elements of JSON", (bytes) => hasMoreElements(bytes, bytes.length - 1)],
    ["a header block", (bytes) => new HpackDecoder(resolveHttp2Limits()).decode(bytes, 0, bytes.length)],
  ])("bytes take time in proportion to their length: %s", (_name, parse) =>
    expectLinear((text) => parse(Buffer.from(text, "latin1"))),
  );
});

describe("time for the first bytes of a connection", () => {
  test.each([
    ["a long request target", "GET /", "a"],
    ["a long method", "", "A"],
    ["blanks behind a method", "GET", " "],
    ["HTTP versions", "GET", " HTTP/1.1"],
    ["the beginning of HTTP/2's preface", "PRI", "I"],
  ])(
    "the first bytes of a connection, one at a time, take time in proportion to their number: %s",
    (_name, before, repeated) => {
      const work = (count: number) => {
        const bytes = Buffer.from(`${before}${repeated.repeat(count)}\n`, "latin1");
        return () => {
          const recognizer = new ProtocolRecognizer();
          for (const byte of bytes) if (recognizer.push(Buffer.of(byte)) !== undefined) break;
        };
      };
      // The server does not wait for longer request lines.
      expect(isSuperLinear(work, 1 << 11)).toBe(false);
    },
  );
});

describe("time for x-ext-proc-config", () => {
  const schema = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
  const part = (name: string) => defineProcessor({ name, config: schema, requestHeaders: () => undefined });
  const [one, several] = [part("a"), compose(part("a"), part("b"), part("c"))];
  test.each<[string, (count: number) => string]>([
    ["nested arrays", (count) => "[".repeat(count) + "]".repeat(count)],
    ["many names", (count) => `{${Array.from({ length: count }, (_, at) => `"p${at}":${at}`).join()}}`],
    ["one name over and over", (count) => `{${Array(count).fill('"a":1').join()}}`],
    ["a long name", (count) => `{"${"n".repeat(count)}":1,"a":1}`],
    ["a long name of escapes", (count) => `{"${"\\u0001".repeat(count)}":1,"a":1}`],
    ["a text that is not JSON", (count) => '\\"'.repeat(count)],
    ["blanks", (count) => `{${" ".repeat(count)}"a":1}`],
  ])("x-ext-proc-config takes time in proportion to its length: %s", (_name, textOf) => {
    for (const processor of [one, several]) {
      const work = (count: number) => {
        const text = textOf(count);
        // A new cache for each run, because a text is cached.
        return () => void new RouteConfigs(definitionsOf(processor)).read([text]);
      };
      expect(isSuperLinear(work, MAX_SIZE)).toBe(false);
    }
  });
});

describe("time of replaceJson", () => {
  test.each<[string, (count: number) => string]>([
    ["nested arrays", (count) => "[".repeat(count) + "]".repeat(count)],
    ["nested objects", (count) => `${'{"a":'.repeat(count)}1${"}".repeat(count)}`],
    ["one name over and over", (count) => `{${Array(count).fill('"a":1').join()}}`],
    ["many names", (count) => `{${Array.from({ length: count }, (_, at) => `"a${at}":${at}`).join()}}`],
    ["equal elements", (count) => `[${Array(count).fill('{"a":[1]}').join()}]`],
    ["escaped quotes", (count) => `["${'\\"'.repeat(count)}"]`],
    ["escaped backslashes", (count) => `["${"\\\\".repeat(count)}"]`],
    ["strings of a quote each", (count) => `[${Array(count).fill('"\\""').join()}]`],
    ["a long number", (count) => `[1${"0".repeat(count)}1]`],
    ["long fractions", (count) => `[0.${"0".repeat(count)}1]`],
    ["blanks", (count) => `[1${" ".repeat(count)},2]`],
  ])("replaceJson takes time in proportion to the body: %s", (_name, textOf) => {
    const work = (count: number) => {
      const text = textOf(count);
      const value = JSON.parse(text) as unknown;
      const changed = Array.isArray(value) ? [...(value as unknown[]), "new"] : { ...(value as object), new: 1 };
      return () => void writeJson(changed, text);
    };
    // JSON.parse itself needs stack for the depth.
    expect(isSuperLinear(work, 512)).toBe(false);
  });
});
