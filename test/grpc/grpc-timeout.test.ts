import { describe, expect, test } from "vitest";
import { parseGrpcTimeout } from "../../src/grpc/grpc-timeout.ts";

describe("parseGrpcTimeout", () => {
  test.each([
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["15S", 15_000],
    ["200m", 200],
    ["250u", 0.25],
    ["500000n", 0.5],
    ["0m", 0],
    ["00000001S", 1_000],
    ["99999999m", 99_999_999],
    ["99999999u", 99_999.999],
    ["99999999n", 99.999_999],
  ])("parseGrpcTimeout reads %s as %d ms", (text, timeoutMs) => {
    expect(parseGrpcTimeout(text)).toBeCloseTo(timeoutMs, 6);
  });

  test.each(["", "m", "1", "-1m", "+1m", "1.5S", "1e3m", "123456789m", "1s", "1h", "1 m", " 1m", "1m ", "1mm", "1S\n"])(
    "parseGrpcTimeout reports %j as malformed",
    (text) => {
      expect(parseGrpcTimeout(text)).toEqual({ problem: "a malformed grpc-timeout" });
    },
  );

  test("parseGrpcTimeout gives no timeout for an absent value, and for a value above what a timer can wait", () => {
    expect(parseGrpcTimeout(undefined)).toBeUndefined();
    for (const text of ["99999999H", "597H", "99999999S"]) expect(parseGrpcTimeout(text)).toBeUndefined();
    expect(parseGrpcTimeout("596H")).toBe(596 * 3_600_000);
  });
});
