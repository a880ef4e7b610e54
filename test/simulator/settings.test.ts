import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ProcessingModeSchema } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { filterConfig, forwardPredicate } from "../../src/simulator/settings/filter-config.ts";
import { namePredicate, wholeNamePattern } from "../../src/simulator/settings/name-pattern.ts";
import {
  completeMode,
  directionMode,
  isAllowedOverride,
  overriddenMode,
} from "../../src/simulator/settings/processing-mode.ts";

describe("forwardPredicate", () => {
  test("forwardPredicate lets everything through if there are no rules", () => {
    expect(forwardPredicate()(":path")).toBe(true);
  });

  test("forwardPredicate keeps what is not allowed, and what is both allowed and disallowed", () => {
    const forwards = forwardPredicate({
      allowedHeaders: [{ prefix: "x-" }, { exact: ":method" }],
      disallowedHeaders: [{ suffix: "-secret" }],
    });
    expect(["x-a", "x-secret", ":method", ":path"].map(forwards)).toEqual([true, false, true, false]);
  });
});

describe("namePredicate", () => {
  test.each([
    [{ exact: "x-a" }, "x-a", "x-ab"],
    [{ prefix: "x-" }, "x-a", "y-a"],
    [{ suffix: "-a" }, "x-a", "x-b"],
    [{ contains: "oo" }, "foo", "bar"],
    [{ safeRegex: "x-[ab]" }, "x-b", "x-bb"],
    [{ exact: "X-A", ignoreCase: true }, "x-a", "x-b"],
  ])("namePredicate matches by %j", (matcher, matching, other) => {
    const matches = namePredicate(matcher);
    expect([matches(matching), matches(other)]).toEqual([true, false]);
  });

  test("namePredicate matches nothing without a pattern", () => {
    expect(namePredicate({})("x")).toBe(false);
  });
});

describe("wholeNamePattern", () => {
  test.each([
    ["(?i)X-A", "x-a", "x-b"],
    ["x-[[:alpha:]]{2}", "x-ab", "x-[:"],
    ["x-(?P<kind>a|b)", "x-b", "x-c"],
    ["(?U)x-a+", "x-aa", "x-"],
    ["\\Ax-a\\z", "x-a", "x-az"],
    ["\\Qx.a\\E", "x.a", "x-a"],
    ["(?-s)x-.", "x-a", "x-\n"],
    ["x-\\pL", "x-a", "x-1"],
  ])("wholeNamePattern reads %s as RE2 does", (pattern, matching, other) => {
    const matches = wholeNamePattern(pattern);
    expect([matches(matching), matches(other)]).toEqual([true, false]);
  });

  test.each(["(", "x(?=a)", "(a)\\1", "a{1001}"])(
    "wholeNamePattern refuses %s, which RE2 does not accept",
    (pattern) => {
      expect(() => wholeNamePattern(pattern)).toThrow(SyntaxError);
      expect(() => wholeNamePattern(pattern)).toThrow(/is not an RE2 expression: /);
    },
  );
});

describe("directionMode", () => {
  test("directionMode sends headers and no trailers by default", () => {
    expect(directionMode(completeMode(), "request")).toEqual({ sendHeaders: true, sendTrailers: false, body: "NONE" });
  });
});

describe("overriddenMode", () => {
  const configured = completeMode({
    responseHeaderMode: "SKIP",
    responseBodyMode: "BUFFERED",
    requestTrailerMode: "SEND",
  });

  test("overriddenMode keeps what is DEFAULT, except body modes, which become NONE", () => {
    expect(overriddenMode(create(ProcessingModeSchema, { requestBodyMode: 2 }), configured)).toEqual({
      ...configured,
      requestBodyMode: "BUFFERED",
      responseBodyMode: "NONE",
    });
  });

  test("overriddenMode takes a body mode that Envoy does not implement for NONE", () => {
    expect(overriddenMode(create(ProcessingModeSchema, { requestBodyMode: 5 }), configured).requestBodyMode).toBe(
      "NONE",
    );
  });
});

describe("isAllowedOverride", () => {
  const mode = completeMode({ requestBodyMode: "BUFFERED" });

  test("isAllowedOverride allows any if there is no list", () => {
    expect(isAllowedOverride(mode, [])).toBe(true);
  });

  test("isAllowedOverride compares literally, except request headers", () => {
    expect(isAllowedOverride(mode, [{ requestBodyMode: "BUFFERED", requestHeaderMode: "SKIP" }])).toBe(true);
    expect(isAllowedOverride(mode, [{ requestBodyMode: "BUFFERED", responseHeaderMode: "SEND" }])).toBe(false);
  });
});

describe("filterConfig", () => {
  test("filterConfig fills in Envoy's defaults", () => {
    expect(filterConfig({})).toMatchObject({
      messageTimeoutMs: 200,
      maxMessageTimeoutMs: 0,
      statusOnError: 500,
      failureModeAllow: false,
      routeCacheAction: "DEFAULT",
    });
  });

  test("filterConfig merges the route's settings, and keeps the filter's mode as the base of overrides", () => {
    const config = filterConfig({
      failureModeAllow: true,
      processingMode: { requestBodyMode: "BUFFERED" },
      grpcInitialMetadata: { "X-A": "filter", "x-b": "filter" },
      perRoute: { failureModeAllow: false, processingMode: {}, grpcInitialMetadata: { "x-a": "route" } },
    });
    expect(config.failureModeAllow).toBe(false);
    expect(config.mode.requestBodyMode).toBe("NONE");
    expect(config.configuredMode.requestBodyMode).toBe("BUFFERED");
    expect(config.grpcInitialMetadata).toEqual({ "x-a": "route", "x-b": "filter" });
  });

  test("filterConfig sends nothing on a route with a disabled filter", () => {
    const { mode } = filterConfig({ perRoute: { disabled: true } });
    expect([mode.requestHeaderMode, mode.responseHeaderMode]).toEqual(["SKIP", "SKIP"]);
  });
});
