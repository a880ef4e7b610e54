import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answerMadeOf, cachedBytes, rememberAnswer } from "../../src/wire/answer-cache.ts";

function answer(details: string): ProcessingResponse {
  return create(ProcessingResponseSchema, { response: { case: "immediateResponse", value: { details } } });
}

test("the last answer of a phase is returned if it was made of the same objects in the same order", () => {
  const [a, b, made] = [{}, {}, answer("one")];
  rememberAnswer("requestHeaders", [a, b], made);
  expect(answerMadeOf("requestHeaders", [a, b])).toBe(made);
  expect(answerMadeOf("requestHeaders", [b, a])).toBeUndefined();
  expect(answerMadeOf("requestHeaders", [a])).toBeUndefined();
  expect(answerMadeOf("responseHeaders", [a, b])).toBeUndefined();
});

test("an array of objects may grow after its answer was remembered", () => {
  const [a, made] = [{}, answer("two")];
  const parts = [a];
  rememberAnswer("responseHeaders", parts, made);
  parts.push({});
  expect(answerMadeOf("responseHeaders", parts)).toBeUndefined();
  expect(answerMadeOf("responseHeaders", [a])).toBe(made);
});

test("an answer is encoded for all streams when it comes a second time", () => {
  const [parts, made] = [[{}], answer("three")];
  rememberAnswer("requestHeaders", parts, made);
  expect(cachedBytes(made)).toBeUndefined();
  expect(answerMadeOf("requestHeaders", parts)).toBe(made);
  expect(answerMadeOf("requestHeaders", parts)).toBe(made);
  const { length } = toBinary(ProcessingResponseSchema, made);
  expect(cachedBytes(made)?.length).toBe(length);
});
