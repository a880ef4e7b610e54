import { describe, expect, test } from "vitest";
import {
  clearRouteCache,
  compose,
  continueAndReplace,
  defineProcessor,
  type Effect,
  overrideMode,
  setAuthority,
  setHeader,
  setMethod,
  setPath,
  setStatus,
} from "../../../src/index.ts";
import { ENVOY_DEFAULTS as ENVOY } from "../../../src/protocol/envoy-declaration.ts";
import { bodyModes, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";

const RULES = {
  allowModeOverride: true,
  mutationRules: { ...ENVOY.mutationRules, allowAllRouting: true },
} as const;

function answered(phase: "requestHeaders" | "responseHeaders", ...effects: Effect<"requestHeaders">[]) {
  const processor = defineProcessor({ name: "p", [phase]: () => effects });
  const declared = { declaration: { ...ENVOY, ...RULES } };
  const { receive, answers, ends } = recordSession(processor, declared);
  const head = phase === "requestHeaders" ? [[":method", "GET"] as const] : [[":status", "200"] as const];
  receive(headersOf(phase, head, bodyModes("STREAMED")));
  const [answer] = answers;
  const { response } = answer ?? {};
  const common = response?.case === phase ? response.value.response : undefined;
  return { answer, common, fault: ends[0]?.fault };
}

describe("the route with a replacement body", () => {
  test.each([
    ["a path", setPath("/a"), true],
    ["an authority", setAuthority("a.example"), true],
    ["a method", setMethod("POST"), true],
    ["that it was asked for", clearRouteCache(), true],
    ["another header", setHeader("x-a", "b"), false],
  ] as const)("the route is chosen again with a replacement body for %s: %o %s", (_what, effect, isNew) => {
    const { common } = answered("requestHeaders", continueAndReplace("new"), effect);
    expect(common).toMatchObject({ status: 1, clearRouteCache: isNew });
  });

  test("the route stays with a replacement body if nothing is changed, and in a response", () => {
    expect(answered("requestHeaders", continueAndReplace("new")).common?.clearRouteCache).toBe(false);
    const response = answered("responseHeaders", continueAndReplace("new") as never, setHeader("x-a", "b"));
    expect(response.common).toMatchObject({ status: 1, clearRouteCache: false });
  });
});

describe("a mode override with a replacement body", () => {
  test.each([[0], [1]])(
    "a mode override with a replacement body is sent for the other direction, in either order (%d)",
    (first) => {
      const effects = [continueAndReplace("new"), overrideMode({ responseBody: "BUFFERED_PARTIAL" })];
      const { answer, common } = answered("requestHeaders", ...(first === 0 ? effects : effects.reverse()));
      expect(answer?.modeOverride).toMatchObject({ responseBodyMode: 3, requestBodyMode: 1 });
      expect(common?.bodyMutation?.mutation).toMatchObject({ case: "body" });
    },
  );

  test.each([[0], [1]])(
    "a mode override with a replacement body is a fault for its own direction, of which nothing more comes (%d)",
    (first) => {
      const effects = [continueAndReplace("new"), overrideMode({ requestBody: "NONE" })];
      const { fault } = answered("requestHeaders", ...(first === 0 ? effects : effects.reverse()));
      expect(fault).toMatchObject({ code: "invalid_effect", message: expect.stringContaining("nothing more comes") });
    },
  );
});

test.each([[0], [1]])("a status without a body is a fault with a replacement body, in either order (%d)", (first) => {
  for (const status of [204, 304, 206]) {
    const effects = [continueAndReplace("new"), setStatus(status) as never];
    const { fault } = answered("responseHeaders", ...((first === 0 ? effects : effects.reverse()) as never[]));
    expect(fault?.code).toBe("invalid_effect");
  }
});

test("a status without a body is a fault if another processor gave the body", () => {
  const giver = defineProcessor({ name: "giver", responseHeaders: () => continueAndReplace("new") });
  const setter = defineProcessor({ name: "setter", responseHeaders: () => setStatus(204) });
  for (const processor of [compose(giver, setter), compose(setter, giver)]) {
    const { receive, ends } = recordSession(processor);
    receive(headersOf("responseHeaders", [[":status", "200"]], { ...bodyModes("NONE"), endOfStream: true }));
    expect(ends[0]?.fault?.code).toBe("invalid_effect");
  }
});
