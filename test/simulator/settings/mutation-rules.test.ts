import { describe, expect, test } from "vitest";
import type { MutationRules } from "../../../src/protocol/envoy-settings.ts";
import { MutationRuleChecker } from "../../../src/simulator/settings/mutation-rules.ts";
import { bytes } from "../servers.ts";

function check(rules: MutationRules, operation: "set" | "append" | "remove", name: string, value = "1") {
  return new MutationRuleChecker(rules).check(operation, name, bytes(value));
}

describe("MutationRuleChecker", () => {
  test.each([
    ["set", "x-a", undefined],
    ["set", ":path", undefined],
    ["set", "content-length", undefined],
    ["set", "host", "routing_refused"],
    ["set", ":authority", "routing_refused"],
    ["set", ":method", "routing_refused"],
    ["set", ":scheme", "routing_refused"],
    ["set", "x-envoy-foo", "envoy_refused"],
    ["remove", "x-envoy-foo", "envoy_refused"],
    ["remove", "host", "remove_refused"],
    ["remove", ":path", "remove_refused"],
    ["append", ":path", "pseudo_append_refused"],
    ["append", "x-a", undefined],
  ] as const)("MutationRuleChecker gives by default for %s %s the result %s", (operation, name, refusal) => {
    expect(check({}, operation, name)).toBe(refusal);
  });

  test("MutationRuleChecker takes routing headers if allow_all_routing is set, and checks their values", () => {
    const rules = { allowAllRouting: true };
    expect(check(rules, "set", ":authority", "a.test:80")).toBeUndefined();
    expect(check(rules, "set", ":authority", "a b")).toBe("authority_invalid");
    expect(check(rules, "set", "host", "/path")).toBe("authority_invalid");
    expect(check(rules, "set", ":scheme", "https")).toBeUndefined();
    expect(check(rules, "set", ":scheme", "ftp")).toBe("scheme_invalid");
  });

  test.each(["100", "199", "abc", "", "-200"])("MutationRuleChecker refuses :status %j", (status) => {
    expect(check({}, "set", ":status", status)).toBe("status_invalid");
  });

  test.each(["200", "599", "1000"])("MutationRuleChecker takes :status %s", (status) => {
    expect(check({}, "set", ":status", status)).toBeUndefined();
  });

  test("MutationRuleChecker checks disallow_expression first, then allow_expression, then the rest", () => {
    const rules = { disallowExpression: "x-.*", allowExpression: "x-a|host", disallowAll: true };
    expect(check(rules, "set", "x-a")).toBe("disallowed_expression");
    expect(check(rules, "set", "host")).toBeUndefined();
    expect(check(rules, "set", "y")).toBe("disallowed_all");
  });

  test("MutationRuleChecker never removes a pseudo-header, whatever an expression allows", () => {
    expect(check({ allowExpression: ".*" }, "remove", ":path")).toBe("remove_refused");
  });

  test("MutationRuleChecker refuses pseudo-headers if disallow_system is set", () => {
    expect(check({ disallowSystem: true }, "set", ":path")).toBe("system_refused");
  });

  test("MutationRuleChecker matches whole names", () => {
    expect(check({ disallowExpression: "x-a" }, "set", "x-ab")).toBeUndefined();
  });

  test("MutationRuleChecker throws if a pattern is not valid", () => {
    expect(() => new MutationRuleChecker({ allowExpression: "(" })).toThrow(SyntaxError);
  });
});
