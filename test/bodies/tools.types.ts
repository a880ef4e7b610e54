import { expectTypeOf, test } from "vitest";
import {
  appendChunk,
  createReplacer,
  createSseSplitter,
  createUtf8Decoder,
  defineProcessor,
  type JsonLine,
  jsonLines,
  type Line,
  lines,
  replacedChunks,
  type ServerSentEvent,
  SplitError,
  type SplitErrorCode,
} from "../../src/index.ts";

test("what is pushed in comes out as bytes, text or items", () => {
  expectTypeOf(createReplacer({ pattern: "a", replacement: "b" }).push).returns.toEqualTypeOf<
    Uint8Array<ArrayBuffer>
  >();
  expectTypeOf(createUtf8Decoder().end).returns.toEqualTypeOf<string>();
  expectTypeOf(createSseSplitter().push).returns.toEqualTypeOf<readonly ServerSentEvent[]>();
  expectTypeOf(lines).returns.toEqualTypeOf<AsyncGenerator<Line, void, undefined>>();
  expectTypeOf(jsonLines).returns.toEqualTypeOf<AsyncGenerator<JsonLine, void, undefined>>();
});

test("tools fit into handlers as they are", () => {
  defineProcessor({
    name: "p",
    state: () => createReplacer({ pattern: "a", replacement: "b" }),
    requestBody: { read: "stream", handle: (chunks) => replacedChunks(chunks, { pattern: "a", replacement: "b" }) },
    responseBody: {
      read: "chunks",
      chunk: (bytes, { state }) => state.push(bytes),
      end: ({ state }) => appendChunk(state.end()),
    },
  });
});

test("a value of a line is there only if it is one", () => {
  const value = (line: JsonLine) => (line.kind === "value" ? line.value : undefined);
  expectTypeOf(value).returns.toBeUnknown();
  // @ts-expect-error A blank line has no value.
  const wrong = (line: JsonLine) => line.value;
  expectTypeOf(wrong).toBeFunction();
});

test("a caught SplitError says why", () => {
  const code = (error: unknown) => (SplitError.is(error) ? error.code : undefined);
  expectTypeOf(code).returns.toEqualTypeOf<SplitErrorCode | undefined>();
});
