import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../../src/processor/definition.ts";
import { setHeader } from "../../../src/processor/effects.ts";
import { header } from "../../../src/protocol/headers/headers.ts";
import { type DecisionLogOptions, SampledDecisionLog } from "../../../src/server/log/decision-log.ts";
import { headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../../session/recorded-session.ts";

const SECRET = "s3cret";

const editor = defineProcessor({
  name: "editor",
  requestHeaders(headers) {
    if (header(headers, "x-fail") !== undefined) throw new Error(SECRET);
    return setHeader("x-a", SECRET);
  },
  responseHeaders: () => undefined,
});

function logged(
  options: DecisionLogOptions,
  requests: readonly (readonly [string, string])[][] = [[]],
  { id = "id-1", status = "201" } = {},
) {
  const lines: Record<string, unknown>[] = [];
  const log = { info: (fields: object) => lines.push({ ...fields }), warn: () => undefined, error: () => undefined };
  const decisions = new SampledDecisionLog(log, options, () => 0);
  for (const headers of requests) {
    const { receive, session } = recordSession(editor, { decisions });
    const attributes = { "envoy.filters.http.ext_proc": { "request.id": id, "source.address": SECRET } };
    const first = headersOf("requestHeaders", [...headers, ["authorization", SECRET]], { attributes });
    receive(first, headersOf("responseHeaders", [[":status", status]]));
    session.finish();
  }
  return { lines, decisions };
}

describe("the decision log", () => {
  test("the decision log has the decision, and no value of a header", () => {
    const { lines } = logged({ sample: 1 }, [
      [
        [":method", "GET"],
        [":path", `/a/b?token=${SECRET}#x`],
      ],
    ]);
    expect(lines).toEqual([
      {
        origin: "envoy",
        result: "completed",
        method: "GET",
        path: "/a/b",
        status: "201",
        durationMs: expect.any(Number),
        answers: { requestHeaders: { set: ["x-a"] } },
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain(SECRET);
  });

  test("the decision log has the values of exactly the attributes that are named", () => {
    const { lines } = logged({ sample: 1, attributes: ["request.id", "request.nothing"] });
    expect(lines[0]?.attributes).toEqual({ "request.id": "id-1" });
    expect(JSON.stringify(lines)).not.toContain(SECRET);
  });

  test("the decision log cuts a long path", () => {
    const { lines } = logged({ sample: 1 }, [[[":path", `/${"x".repeat(10_000)}`]]]);
    expect(lines[0]?.path).toHaveLength(256);
  });

  test("the decision log cuts a long method, status and attribute", () => {
    const long = "x".repeat(50_000);
    const { lines } = logged({ sample: 1, attributes: ["request.id"] }, [[[":method", long]]], {
      id: long,
      status: long,
    });
    const cut = `${"x".repeat(256)}…`;
    expect(lines[0]).toMatchObject({ method: cut, status: cut, attributes: { "request.id": cut } });
  });

  test("the decision log writes a limited number of lines a second, and counts the others", () => {
    const { lines, decisions } = logged(
      { sample: 1, maxPerSecond: 3 },
      Array.from({ length: 10 }, () => []),
    );
    expect([lines.length, decisions.leftOut]).toEqual([3, 7]);
  });

  test("the decision log reserves a fifth of its lines for transactions in which a handler failed", () => {
    const { lines, decisions } = logged({ sample: 1, maxPerSecond: 10 }, [
      ...Array.from({ length: 100 }, () => []),
      ...Array.from({ length: 5 }, () => [["x-fail", "1"] as const]),
    ]);
    expect(lines.map(({ fault }) => fault)).toEqual([
      ...Array.from({ length: 8 }, () => undefined),
      "handler_threw",
      "handler_threw",
    ]);
    expect(decisions.leftOut).toBe(95);
  });
});

describe("the sample", () => {
  const ids = Array.from({ length: 4_000 }, (_, index) => `3f2504e0-4f89-11d3-9a0c-0305e82c${index}`);
  const chosen = (sample: number) => {
    const { decisions } = logged({ sample }, []);
    return ids.filter((id) => decisions.samples(headersOf("requestHeaders", [["x-request-id", id]])));
  };

  test.each([0, 0.01, 0.1, 0.5, 1])("a sample of %d has about this share of the transactions", (sample) => {
    expect(Math.abs(chosen(sample).length / ids.length - sample)).toBeLessThan(0.02);
  });

  test("the sample has the same transactions on every server, by their id", () => {
    expect(chosen(0.1)).toEqual(chosen(0.1));
    const larger = new Set(chosen(0.2));
    expect(chosen(0.1).every((id) => larger.has(id))).toBe(true);
  });

  test("the sample is random for transactions without an id", () => {
    const { decisions } = logged({ sample: 0.5 }, []);
    const draws = Array.from({ length: 1_000 }, () => decisions.samples(headersOf("responseHeaders")));
    expect(new Set(draws).size).toBe(2);
  });
});
