import { beforeAll, describe, expect, test, vi } from "vitest";
import * as first from "../../src/index.ts";
import { definitionsOf, isProcessor } from "../../src/processor/definition.ts";
import { headersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

// A command line that is installed globally loads a processor that imports its own, local copy of the library.
let second: typeof first;

beforeAll(async () => {
  vi.resetModules();
  second = await import("../../src/index.ts");
});

test("the second copy of the library is not the first", () => {
  expect(second.defineProcessor).not.toBe(first.defineProcessor);
  expect(second.FaultError).not.toBe(first.FaultError);
});

describe("values of the second copy", () => {
  test("a processor of the second copy is a processor to the first", () => {
    const processor = second.defineProcessor({ name: "local", requestHeaders: () => second.setHeader("x-a", "1") });
    expect(isProcessor(processor)).toBe(true);
    expect(definitionsOf(processor)).toHaveLength(1);
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.answers.map(changesOf)).toEqual([["x-a = 1"]]);
  });

  test("a processor of the second copy composes with one of the first, in both directions", () => {
    const mine = first.defineProcessor({ name: "mine", requestHeaders: () => first.appendHeader("x-a", "mine") });
    const other = second.defineProcessor({ name: "other", requestHeaders: () => second.appendHeader("x-a", "other") });
    for (const chain of [first.compose(mine, other), second.compose(mine, other)]) {
      const recorded = recordSession(chain);
      recorded.receive(headersOf("requestHeaders"));
      expect(recorded.answers.map(changesOf)).toEqual([["x-a += mine", "x-a += other"]]);
    }
  });

  test("an effect of the second copy may be used in a processor of the first", () => {
    const processor = first.defineProcessor({
      name: "mixed",
      requestHeaders: () => [first.setHeader("x-a", "1"), second.removeHeader("x-b")],
      responseHeaders: () => second.immediateResponse(502),
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(recorded.answers.map(changesOf)[0]).toEqual(["-x-b", "x-a = 1"]);
    expect(recorded.log).toEqual(["requestHeaders", "immediateResponse", "ended: immediate_response"]);
  });

  test("a FaultError of the second copy is a FaultError to the first", () => {
    const error = new second.FaultError("header_ambiguous", "twice");
    expect(error).not.toBeInstanceOf(first.FaultError);
    expect(first.FaultError.is(error)).toBe(true);
    const recorded = recordSession(
      first.defineProcessor({
        name: "throws",
        requestHeaders() {
          throw error;
        },
      }),
    );
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.log).toEqual(["ended: header_ambiguous"]);
  });

  test("names are checked across both copies", () => {
    const twice = () => first.compose(first.defineProcessor({ name: "a" }), second.defineProcessor({ name: "a" }));
    expect(twice).toThrow('compose: two processors are named "a"');
  });
});
