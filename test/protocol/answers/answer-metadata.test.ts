import { expect, test } from "vitest";
import { mergeMetadata } from "../../../src/protocol/answers/answer-metadata.ts";

test("metadata of two answers is merged key by key, and the later wins", () => {
  const first = { dynamicMetadata: { a: { x: 1, y: 1 }, b: { x: 1 } } };
  const second = { dynamicMetadata: { a: { y: 2 }, c: { x: 2 } } };
  expect(mergeMetadata(first, second)).toEqual({
    dynamicMetadata: { a: { x: 1, y: 2 }, b: { x: 1 }, c: { x: 2 } },
  });
  expect(first.dynamicMetadata.a).toEqual({ x: 1, y: 1 });
});

test("merged metadata is undefined if neither answer has metadata", () => {
  expect(mergeMetadata({}, { dynamicMetadata: undefined })).toEqual({});
});

test("a namespace called __proto__ is an ordinary namespace", () => {
  const odd = { dynamicMetadata: Object.fromEntries([["__proto__", { x: 1 }]]) };
  const { dynamicMetadata = {} } = mergeMetadata({ dynamicMetadata: { a: { y: 1 } } }, odd);
  expect(Object.entries(dynamicMetadata)).toEqual([
    ["a", { y: 1 }],
    ["__proto__", { x: 1 }],
  ]);
});
