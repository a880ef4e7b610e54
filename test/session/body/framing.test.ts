import { describe, expect, test } from "vitest";
import { defineProcessor, type Effect, removeHeader, setHeader, setMethod, setStatus } from "../../../src/index.ts";
import { sendIn } from "./upper.ts";

const OPERATOR = { envoy: { mutationRules: { allowAllRouting: true, allowEnvoy: false } } } as const;
const MODES = ["BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"] as const;

describe.each(MODES)("an effect that would move the end of a message, in %s", (mode) => {
  const codes = async (handlers: Omit<Parameters<typeof defineProcessor>[0], "name">) => {
    const processor = defineProcessor({ name: "p", ...handlers });
    const { faults } = await sendIn(processor, mode, {
      operator: OPERATOR,
      request: { body: "hello" },
      upstream: { body: "world" },
    });
    return faults.map(({ code }) => code);
  };
  const body = (effect: unknown) =>
    ({ read: "text", handle: () => effect as Effect<"requestBody" | "responseBody"> }) as const;

  test.each([
    ["204", setStatus(204)],
    ["304", setStatus(304)],
    ["a length", setHeader("content-length", "3")],
    ["no length", removeHeader("content-length")],
    ["a coding of the transfer", setHeader("transfer-encoding", "chunked")],
  ])(
    "an effect that would move the end is refused in the answer to a response's body as in that to its headers: %s",
    async (_what, effect) => {
      expect(await codes({ responseHeaders: () => effect as never })).toEqual(["invalid_effect"]);
      expect(await codes({ responseBody: body(effect) })).toEqual(["invalid_effect"]);
    },
  );

  test.each([
    ["HEAD", setMethod("HEAD")],
    ["CONNECT", setMethod("CONNECT")],
    ["a length", setHeader("content-length", "3")],
    ["a coding of the transfer", setHeader("transfer-encoding", "chunked")],
  ])(
    "an effect that would move the end is refused in the answer to a request's body as in that to its headers: %s",
    async (_what, effect) => {
      expect(await codes({ requestHeaders: () => effect as never })).toEqual(["invalid_effect"]);
      expect(await codes({ requestBody: body(effect) })).toEqual(["invalid_effect"]);
    },
  );

  test("a status that has a body may be set", async () => {
    expect(await codes({ responseBody: body(setStatus(201)) })).toEqual([]);
  });
});
