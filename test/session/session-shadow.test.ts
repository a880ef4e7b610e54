import { describe, expect, test } from "vitest";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import {
  appendHeader,
  immediateResponse,
  removeHeader,
  setDynamicMetadata,
  setHeader,
} from "../../src/processor/effects.ts";
import { type OperatorOptions, runRules } from "../../src/processor/run-rules.ts";
import type { Decision } from "../../src/session/decision.ts";
import { bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { recordSession } from "./recorded-session.ts";

function run(processor: Processor, options: OperatorOptions = { shadow: true }) {
  const told: string[] = [];
  const decisions: Decision[] = [];
  const recorded = recordSession(processor, {
    rules: runRules(processor, options),
    decisions: { samples: () => true, record: (decision) => decisions.push(decision) },
    observer: {
      message: () => undefined,
      ended: () => undefined,
      fault: ({ code }, outcome) => told.push(`${code}: ${outcome}`),
      unenforced: (reason, wanted) => told.push(`${reason}: ${wanted}`),
    },
  });
  return { ...recorded, told, decisions };
}

const editor = defineProcessor({
  name: "editor",
  requestHeaders: () => [
    setHeader("x-a", "s3cret"),
    appendHeader("x-b", "s3cret"),
    removeHeader("cookie"),
    setDynamicMetadata("demo", { secret: "s3cret" }),
  ],
  responseHeaders: () => undefined,
});

describe("shadow mode", () => {
  test("shadow mode runs handlers, lets everything pass, and reports what would have happened with names and without values", () => {
    const { receive, session, answers, log, told } = run(editor);
    receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    session.finish();
    expect(log).toEqual(["requestHeaders", "responseHeaders", "ended: completed"]);
    expect(answers.map(({ response }) => Object.keys(response.value ?? {}))).toEqual([["$typeName"], ["$typeName"]]);
    expect(answers[0]?.dynamicMetadata).toBeUndefined();
    expect(told).toEqual(["shadow: set x-a; append x-b; remove cookie; metadata demo"]);
  });

  test("shadow mode runs no handler behind an immediate response that would have been sent", () => {
    let ran = 0;
    const guard = defineProcessor({
      name: "guard",
      requestHeaders: () => immediateResponse(403),
      responseHeaders: () => void ran++,
    });
    const { receive, session, log, told } = run(guard);
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    session.finish();
    expect(log).toEqual(["requestHeaders", "requestBody", "responseHeaders", "ended: completed"]);
    expect([ran, told]).toEqual([0, ["shadow: immediateResponse 403"]]);
  });

  test("shadow mode lets a fault pass under every policy, and counts it once", () => {
    const broken = defineProcessor({
      name: "broken",
      onFault: "closed",
      requestHeaders: () => {
        throw new Error("no");
      },
    });
    const { receive, session, log, ends, told } = run(broken);
    receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
    session.finish();
    expect(log).toEqual(["requestHeaders", "requestTrailers", "ended: handler_threw"]);
    expect(ends[0]?.error).toBeUndefined();
    expect(told).toEqual(["handler_threw: shadow", "shadow: fault handler_threw"]);
  });
});

describe("a decision record", () => {
  test("a decision record says what was answered in each phase, with names and without values, and how the transaction ended", () => {
    const { receive, session, decisions } = run(editor, {});
    receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    session.finish();
    expect(decisions).toHaveLength(1);
    expect(decisions[0]).toMatchObject({ result: "completed", fault: undefined, pretended: undefined });
    expect(decisions[0]?.trail).toEqual({
      requestHeaders: { set: ["x-a"], append: ["x-b"], remove: ["cookie"], metadata: ["demo"] },
    });
  });

  test("a decision record says in shadow mode what would have been answered", () => {
    const { receive, session, decisions } = run(editor);
    receive(headersOf("requestHeaders"));
    session.finish();
    expect(decisions[0]).toMatchObject({ pretended: "shadow", trail: { requestHeaders: { set: ["x-a"] } } });
  });

  test("a decision record names the fault and its outcome", () => {
    const broken = defineProcessor({
      name: "broken",
      onFault: "open",
      requestHeaders: () => {
        throw new Error("no");
      },
    });
    const { receive, session, decisions } = run(broken, {});
    receive(headersOf("requestHeaders"));
    session.finish();
    expect(decisions[0]).toMatchObject({ result: "fault", fault: { code: "handler_threw" }, faultOutcome: "passed" });
  });

  test("a decision record has the status of an immediate response", () => {
    const guard = defineProcessor({ name: "guard", requestHeaders: () => immediateResponse(403, { text: "no" }) });
    const { receive, decisions } = run(guard, {});
    receive(headersOf("requestHeaders"));
    expect(decisions[0]).toMatchObject({
      result: "immediate_response",
      trail: { requestHeaders: { immediateResponse: 403 } },
    });
  });

  test("a decision record is not made if the transaction is not part of the sample", () => {
    const recorded: Decision[] = [];
    const { receive, session } = recordSession(editor, {
      decisions: { samples: () => false, record: (decision) => recorded.push(decision) },
    });
    receive(headersOf("requestHeaders"));
    session.finish();
    expect(recorded).toEqual([]);
  });
});
