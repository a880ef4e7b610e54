import { describe, expect, test } from "vitest";
import { FaultError, fault } from "../../src/protocol/fault.ts";
import { FAULT_CODES } from "../../src/protocol/faults.ts";

describe("fault", () => {
  test("a fault's source follows from its code", () => {
    expect(fault("handler_threw", "m").source).toBe("handler");
    expect(fault("invalid_effect", "m").source).toBe("handler");
    expect(fault("header_ambiguous", "m").source).toBe("handler");
    expect(fault("phase_out_of_order", "m").source).toBe("envoy");
    expect(fault("message_too_large", "m").source).toBe("envoy");
    expect(fault("malformed_message", "m").source).toBe("envoy");
    expect(fault("server_draining", "m").source).toBe("internal");
    expect(fault("internal_error", "m").source).toBe("internal");
  });

  test("a fault keeps message, processor and cause", () => {
    const cause = new Error("thrown");
    expect(fault("handler_threw", "m", { processor: "p", cause })).toEqual({
      kind: "fault",
      code: "handler_threw",
      source: "handler",
      message: "m",
      processor: "p",
      cause,
    });
  });

  test("every fault code has a source, and is listed once", () => {
    expect(new Set(FAULT_CODES).size).toBe(FAULT_CODES.length);
    for (const code of FAULT_CODES) expect(["envoy", "handler", "internal"]).toContain(fault(code, "").source);
  });
});

describe("FaultError", () => {
  test("FaultError is an Error with a code", () => {
    const error = new FaultError("header_ambiguous", "twice");
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "FaultError", code: "header_ambiguous", message: "twice" });
  });

  test("a FaultError is recognised by its mark, also if another copy of the library made it", () => {
    expect(FaultError.is(new FaultError("header_ambiguous", "m"))).toBe(true);
    expect(FaultError.is({ [Symbol.for("ext-proc.fault-error")]: true, code: "header_ambiguous", message: "m" })).toBe(
      true,
    );
  });

  test.each([undefined, null, "text", 5, new Error("m"), { code: "header_ambiguous", message: "m" }, () => 1])(
    "%s is not taken for a FaultError",
    (value) => {
      expect(FaultError.is(value)).toBe(false);
    },
  );
});
