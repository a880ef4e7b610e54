import { describe, expect, test } from "vitest";
import { type Fault, fault } from "../../../src/protocol/fault.ts";
import { FAULT_CODES } from "../../../src/protocol/faults.ts";
import { FaultLog } from "../../../src/server/log/fault-log.ts";
import { LineLimiters } from "../../../src/server/log/line-limiter.ts";

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A fault log with a clock that the test sets. */
function logged() {
  const lines: Line[] = [];
  const clock = { ms: 0 };
  const keep = (level: string) => (fields: object, message: string) =>
    lines.push({ level, fields: fields as Line["fields"], message });
  const log = new FaultLog(
    { info: keep("info"), warn: keep("warn"), error: keep("error") },
    new LineLimiters(() => clock.ms),
  );
  return { lines, clock, log, end: (failure: Fault) => log.fault(failure, "grpc_error", "envoy") };
}

function threw(cause: unknown): Fault {
  return fault("handler_threw", "the handler threw", { processor: "broken", cause });
}

describe("FaultLog", () => {
  test("FaultLog logs nothing for a transaction without a fault", () => {
    const { lines, log } = logged();
    log.ended({ result: "completed" }, "envoy");
    expect(lines).toEqual([]);
  });

  test("FaultLog names code, source, processor and origin, the class of the thrown value and its place", () => {
    const { lines, end } = logged();
    end(threw(new RangeError("s3cret")));
    expect(lines).toEqual([
      {
        level: "error",
        message: "the handler threw",
        fields: {
          fault: "handler_threw",
          source: "handler",
          processor: "broken",
          outcome: "grpc_error",
          origin: "envoy",
          error: "RangeError",
          at: expect.arrayContaining([expect.stringContaining("fault-log.test.ts:")]),
        },
      },
    ]);
  });

  test("FaultLog warns of a client's mistake, without a place in our code", () => {
    const { lines, end } = logged();
    end(fault("message_too_large", "too large", { cause: new Error("s3cret") }));
    expect(lines).toMatchObject([{ level: "warn", message: "too large" }]);
    expect(lines[0]?.fields).not.toHaveProperty("at");
  });

  test.each<[string, () => unknown]>([
    ["a message", () => new Error("s3cret")],
    [
      "a message of several lines that look like a stack",
      () => new Error("s3cret\n    at s3cret (s3cret:1:2)\n  at s3cret:3:4"),
    ],
    [
      "a message that was changed later",
      () => Object.assign(new Error("s3cret\n at s3cret:1:2"), { message: "harmless" }),
    ],
    ["a name that does not look like one", () => Object.assign(new Error("s3cret"), { name: "Error: s3cret" })],
    ["a code that does not look like one", () => Object.assign(new Error("x"), { code: "Bearer s3cret" })],
    ["a code that is too long", () => Object.assign(new Error("x"), { code: `s3cret${"x".repeat(50)}` })],
    ["a code that is an object", () => Object.assign(new Error("x"), { code: ["s3cret"] })],
    ["a cause", () => new Error("s3cret", { cause: new Error("s3cret") })],
    ["a stack that is not its own", () => Object.assign(new Error("x"), { stack: "s3cret\n    at s3cret:1:2" })],
    ["a string", () => "s3cret"],
    ["an object", () => ({ message: "s3cret", stack: "Error: s3cret\n at s3cret:1:2" })],
  ])("FaultLog never logs the thrown value: %s", (_name, thrown) => {
    const { lines, end } = logged();
    end(threw(thrown()));
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("s3cret");
  });

  test.each<[string, () => unknown]>([
    ["a stack that is not text", () => Object.assign(new Error("x"), { stack: [1, 2] })],
    ["no stack", () => Object.assign(new Error("x"), { stack: undefined })],
    ["no class", () => Object.assign(new Error("x"), { constructor: undefined })],
    [
      "a stack that throws",
      () =>
        Object.defineProperty(new Error("x"), "stack", {
          get() {
            throw new Error("no");
          },
        }),
    ],
    ["nothing", () => undefined],
    ["null", () => null],
  ])("FaultLog survives any thrown value: %s", (_name, thrown) => {
    const { lines, end } = logged();
    end(threw(thrown()));
    expect(lines).toMatchObject([{ level: "error", fields: { fault: "handler_threw" } }]);
  });

  test.each<[string, () => unknown, object]>([
    ["its code", () => Object.assign(new Error("s3cret"), { code: "ECONNRESET" }), { code: "ECONNRESET" }],
    ["a code that is a number", () => Object.assign(new Error("s3cret"), { code: 14 }), { code: 14 }],
    ["the code of a database", () => Object.assign(new Error("s3cret"), { code: "23505" }), { code: "23505" }],
    [
      "the code of its cause, as fetch has it",
      () => new TypeError("s3cret", { cause: Object.assign(new Error("s3cret"), { code: "ENOTFOUND" }) }),
      { error: "TypeError", code: "ENOTFOUND" },
    ],
    [
      "the code of the first of several errors",
      () => new AggregateError([Object.assign(new Error("s3cret"), { code: "ECONNREFUSED" })], "s3cret"),
      { error: "AggregateError", code: "ECONNREFUSED" },
    ],
    [
      "the name of a DOMException",
      () => AbortSignal.abort(new DOMException("s3cret", "TimeoutError")).reason,
      { error: "DOMException", name: "TimeoutError" },
    ],
    [
      "the code of what is not an Error",
      () => ({ code: "ENOENT", message: "s3cret" }),
      { error: "object", code: "ENOENT" },
    ],
  ])("FaultLog logs of a thrown value %s, and not its message", (_name, thrown, fields) => {
    const { lines, end } = logged();
    end(threw(thrown()));
    expect(lines).toMatchObject([{ fields }]);
    expect(JSON.stringify(lines)).not.toContain("s3cret");
  });

  test("FaultLog names the class of what a processor's schema threw, although the source of the fault is Envoy", () => {
    const { lines, end } = logged();
    end(fault("config_invalid", "the schema threw", { processor: "tenant", cause: new RangeError("s3cret") }));
    expect(lines).toMatchObject([{ level: "warn", fields: { error: "RangeError" } }]);
    expect(JSON.stringify(lines)).not.toContain("s3cret");
  });

  test("FaultLog logs message and code of a setup and a close that failed, without control characters and passwords", () => {
    const { lines, log } = logged();
    const cause = Object.assign(new Error("getaddrinfo ENOTFOUND db\u001b[31m\nx"), { code: "ENOTFOUND" });
    log.failed("keys", new TypeError("postgres://ada:s3cret@db failed", { cause }), 1000);
    log.closeFailed("keys", cause);
    expect(lines.map(({ fields }) => fields)).toMatchObject([
      {
        error: "TypeError",
        code: "ENOTFOUND",
        reason: "postgres://***@db failed: getaddrinfo ENOTFOUND db\\u{1b}[31m x",
        retryMs: 1000,
      },
      { error: "Error", code: "ENOTFOUND", reason: "getaddrinfo ENOTFOUND db\\u{1b}[31m x" },
    ]);
  });

  test("FaultLog writes ten lines a second, and then the number of lines that it left out", () => {
    const { lines, clock, end } = logged();
    for (let index = 0; index < 25; index++) end(threw(new Error("x")));
    expect(lines).toHaveLength(10);
    clock.ms = 999;
    end(threw(new Error("x")));
    expect(lines).toHaveLength(10);
    clock.ms = 1000;
    end(threw(new Error("x")));
    end(threw(new Error("x")));
    expect(lines.slice(10).map(({ fields }) => fields.leftOut)).toEqual([16, undefined]);
  });

  test("many faults of a client suppress no line of a handler's fault, and one code suppresses no line of another code", () => {
    const { lines, end, log } = logged();
    for (const code of FAULT_CODES) {
      if (code === "handler_threw") continue;
      for (let index = 0; index < 1_000; index++) end(fault(code, "noise"));
    }
    lines.length = 0;
    for (let index = 0; index < 10; index++) end(threw(new Error("x")));
    log.doneFailed("broken", new Error("x"), "envoy");
    expect(lines.map(({ fields }) => [fields.fault, fields.leftOut])).toEqual([
      ...Array.from({ length: 10 }, () => ["handler_threw", undefined]),
      [undefined, undefined],
    ]);
  });

  test("the number of lines a second of FaultLog is bounded for any faults", () => {
    const { lines, end } = logged();
    for (let index = 0; index < 100; index++) for (const code of FAULT_CODES) end(fault(code, "noise"));
    expect(lines).toHaveLength(10 * FAULT_CODES.length);
  });
});
