import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { fault } from "../../../src/protocol/fault.ts";
import { FAULT_CODES, type FaultCode } from "../../../src/protocol/faults.ts";
import { explainedFaultError, faultError, readFault } from "../../../src/services/process/fault-error.ts";

const SECRET = "s3cr3t";

test.each<[FaultCode, Code]>([
  ["handler_threw", Code.Internal],
  ["invalid_effect", Code.Internal],
  ["header_ambiguous", Code.Internal],
  ["phase_out_of_order", Code.InvalidArgument],
  ["message_too_large", Code.ResourceExhausted],
  ["malformed_message", Code.InvalidArgument],
  ["server_draining", Code.Unavailable],
  ["internal_error", Code.Internal],
])("the fault %s is gRPC code %i, for Envoy and for debug calls", (code, expected) => {
  expect(faultError(fault(code, "m")).code).toBe(expected);
  expect(explainedFaultError(fault(code, "m")).code).toBe(expected);
});

test("every fault has a gRPC code", () => {
  for (const code of FAULT_CODES) expect(Code[faultError(fault(code, "m")).code]).toBeTypeOf("string");
});

describe("faultError", () => {
  test("faultError has code and message, and not the cause", () => {
    const error = faultError(fault("handler_threw", "the handler threw", { cause: new Error(SECRET) }));
    expect(error.rawMessage).toBe("handler_threw: the handler threw");
    expect(error.cause).toBeUndefined();
    expect(JSON.stringify(error)).not.toContain(SECRET);
  });
});

describe("explainedFaultError", () => {
  test("explainedFaultError shows the thrown value if there is one", () => {
    const explain = (code: FaultCode, cause: unknown) => explainedFaultError(fault(code, "m", { cause })).rawMessage;
    expect(explain("handler_threw", new TypeError("no"))).toBe("handler_threw: m: TypeError: no");
    expect(explain("handler_threw", SECRET)).toBe("handler_threw: m: not an Error");
    expect(explain("malformed_message", new Error(SECRET))).toBe("malformed_message: m");
  });
});

describe("readFault", () => {
  test("readFault names what the client sent", () => {
    expect(readFault(new ConnectError("too large", Code.ResourceExhausted))?.code).toBe("message_too_large");
    for (const code of [Code.InvalidArgument, Code.Internal, Code.Unimplemented]) {
      expect(readFault(new ConnectError(SECRET, code))).toMatchObject({
        code: "malformed_message",
        source: "envoy",
        message: "the client sent bytes that are not a ProcessingRequest",
      });
    }
  });

  test("readFault is undefined if the client is gone", () => {
    for (const error of [
      new Error("Premature close"),
      new ConnectError("reset", Code.Aborted),
      new ConnectError("gone", Code.Canceled),
      "text",
      undefined,
    ])
      expect(readFault(error)).toBeUndefined();
  });
});
