import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HeaderMutationSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { MutationRules } from "../../../src/protocol/envoy-settings.ts";
import { applyHeaderMutation, type MutationContext } from "../../../src/simulator/answers/header-mutation.ts";
import { HeaderMap } from "../../../src/simulator/http/header-map.ts";
import { MutationRuleChecker } from "../../../src/simulator/settings/mutation-rules.ts";
import { bytes, text } from "../servers.ts";

interface Applied {
  readonly error: string | undefined;
  readonly lines: readonly string[];
  readonly rejected: number;
  readonly warnings: readonly string[];
}

function apply(
  mutation: MessageInitShape<typeof HeaderMutationSchema>,
  given: { rules?: MutationRules; context?: Partial<MutationContext>; headers?: [string, string][] } = {},
): Applied {
  const headers = new HeaderMap("request", given.headers ?? [["x-old", "1"]]);
  let rejected = 0;
  const warnings: string[] = [];
  const error = applyHeaderMutation(create(HeaderMutationSchema, mutation), headers, {
    checker: new MutationRuleChecker(given.rules),
    replacingMessage: false,
    skipContentLength: false,
    limited: true,
    shortDetails: true,
    countRejected: () => rejected++,
    warn: (code, header) => warnings.push(`${code} ${header}`),
    ...given.context,
  });
  return { error, lines: headers.entries.map(([name, value]) => `${name}: ${text(value)}`), rejected, warnings };
}

const set = (key: string, value = "2") => ({ header: { key, rawValue: bytes(value) } });

describe("applyHeaderMutation", () => {
  test("applyHeaderMutation removes before it sets", () => {
    expect(apply({ setHeaders: [set("x-old")], removeHeaders: ["x-old"] }).lines).toEqual(["x-old: 2"]);
  });

  test("applyHeaderMutation overwrites unless append is set, whatever append_action says", () => {
    const action = { ...set("x-old"), appendAction: 0 };
    expect(apply({ setHeaders: [action] }).lines).toEqual(["x-old: 2"]);
    expect(apply({ setHeaders: [{ ...action, append: true }] }).lines).toEqual(["x-old: 1", "x-old: 2"]);
  });

  test("applyHeaderMutation warns of an append_action that differs from append", () => {
    expect(apply({ setHeaders: [{ ...set("x-old"), appendAction: 1 }] }).warnings).toEqual([
      "append_action_ignored x-old",
    ]);
    expect(apply({ setHeaders: [{ ...set("x-old"), append: false, appendAction: 2 }] }).warnings).toEqual([]);
  });

  test("applyHeaderMutation sets an empty header if only value is given, and warns", () => {
    const { lines, warnings } = apply({ setHeaders: [{ header: { key: "x-old", value: "2" } }] });
    expect(lines).toEqual(["x-old: "]);
    expect(warnings).toEqual(["value_without_raw_value x-old"]);
  });

  test("applyHeaderMutation takes raw_value if both are given", () => {
    const both = { header: { key: "x-old", value: "3", rawValue: bytes("2") } };
    expect(apply({ setHeaders: [both] }).lines).toEqual(["x-old: 2"]);
  });

  test("applyHeaderMutation counts what rules refuse, warns of it, and goes on", () => {
    const { error, lines, rejected, warnings } = apply({ setHeaders: [set("host"), set("x-new")] });
    expect({ error, rejected, warnings }).toEqual({
      error: undefined,
      rejected: 1,
      warnings: ["routing_refused host"],
    });
    expect(lines).toEqual(["x-old: 1", "x-new: 2"]);
  });

  test("applyHeaderMutation fails at the first refusal if refusals are errors", () => {
    const rules = { disallowIsError: true };
    expect(apply({ setHeaders: [set("host")] }, { rules }).error).toBe("header_mutation_set_headers_failed");
    expect(apply({ removeHeaders: ["host"] }, { rules }).error).toBe("header_mutation_remove_headers_failed");
  });

  test("applyHeaderMutation lets :method be set if the message is replaced", () => {
    expect(apply({ setHeaders: [set(":method")] }, { context: { replacingMessage: true } }).lines[0]).toBe(
      ":method: 2",
    );
  });

  test.each([
    ["a blank in a name", set("x y")],
    ["a colon in a name", set("x:y")],
    ["a line feed in a value", set("x-a", "1\n2")],
    ["DEL in a value", set("x-a", "\x7f")],
    ["NUL in a value", set("x-a", "\0")],
  ])("applyHeaderMutation fails at %s", (_, option) => {
    const { error, rejected } = apply({ setHeaders: [option] });
    expect({ error, rejected }).toEqual({ error: "header_mutation_set_contains_invalid_character", rejected: 1 });
  });

  test("applyHeaderMutation takes tabs, and bytes beyond ASCII", () => {
    expect(apply({ setHeaders: [set("x-a", "\té")] }).error).toBeUndefined();
  });

  test("applyHeaderMutation fails at a name to remove that is not valid, and ignores an empty one", () => {
    expect(apply({ removeHeaders: ["x\n"] }).error).toBe("header_mutation_remove_contains_invalid_character");
    expect(apply({ removeHeaders: [""] })).toMatchObject({ error: undefined, rejected: 0 });
  });

  test("applyHeaderMutation lower-cases names and skips entries without a header", () => {
    expect(apply({ setHeaders: [{}, set("X-New")], removeHeaders: ["X-OLD"] }).lines).toEqual(["x-new: 2"]);
  });

  test("applyHeaderMutation skips content-length if the body mode forbids it, without a count", () => {
    const { lines, rejected, warnings } = apply(
      { setHeaders: [set("Content-Length")] },
      { context: { skipContentLength: true } },
    );
    expect({ lines, rejected, warnings }).toEqual({
      lines: ["x-old: 1"],
      rejected: 0,
      warnings: ["content_length_skipped content-length"],
    });
  });

  test("applyHeaderMutation fails at more than 100 operations of a kind", () => {
    const setHeaders = Array.from({ length: 101 }, () => set("x-a"));
    expect(apply({ setHeaders }).error).toBe("header_mutation_operation_count_exceeds_limit");
    expect(apply({ setHeaders: setHeaders.slice(1) }).error).toBeUndefined();
  });

  test("applyHeaderMutation fails at more than 100 headers, or 60 KiB, in the result", () => {
    const many = Array.from({ length: 100 }, (_, index) => set(`x-${index}`));
    expect(apply({ setHeaders: many }).error).toBe("header_mutation_result_exceeds_limit");
    expect(apply({ setHeaders: many.slice(1) }).error).toBeUndefined();
    expect(apply({ setHeaders: [set("x-a", "v".repeat(61_500))] }).error).toBe("header_mutation_result_exceeds_limit");
  });

  test("applyHeaderMutation has no limits for a reply", () => {
    const setHeaders = Array.from({ length: 120 }, (_, index) => set(`x-${index}`));
    expect(apply({ setHeaders }, { context: { limited: false } }).error).toBeUndefined();
  });

  test("applyHeaderMutation gives error details in whole sentences before Envoy 1.37", () => {
    const context = { shortDetails: false };
    expect(apply({ setHeaders: [set("x y")] }, { context }).error).toBe("Invalid character in set_headers mutation.");
  });
});
