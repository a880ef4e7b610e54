import { describe, expect, test } from "vitest";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits, resolveHttp2Limits } from "../../src/http2/limits.ts";

describe("resolveHttp2Limits", () => {
  test("resolveHttp2Limits gives the defaults, also for fields that are undefined", () => {
    expect(resolveHttp2Limits()).toEqual(DEFAULT_HTTP2_LIMITS);
    expect(resolveHttp2Limits({ maxFrameBytes: undefined, controlFrames: undefined })).toEqual(DEFAULT_HTTP2_LIMITS);
  });

  test("resolveHttp2Limits takes given values, and the defaults for all others", () => {
    const controlFrames = { burst: 0, perSecond: 0.5 };
    const given = { maxConcurrentStreams: 1, keepAliveIntervalMs: 0, controlFrames };
    expect(resolveHttp2Limits(given)).toEqual({ ...DEFAULT_HTTP2_LIMITS, ...given });
  });

  test("resolveHttp2Limits returns frozen limits", () => {
    expect(Object.isFrozen(resolveHttp2Limits())).toBe(true);
  });

  test.each<[keyof Http2Limits, number, number]>([
    ["maxConcurrentStreams", 1, 0xffff_ffff],
    ["maxHeaderListBytes", 1024, 0xffff_ffff],
    ["maxHeaderBlockBytes", 1024, 0xffff_ffff],
    ["maxContinuations", 0, 0x7fff_ffff],
    ["maxHeaderExpansionBytes", 1024, 0xffff_ffff],
    ["connectionWindowBytes", 65_535, 0x7fff_ffff],
    ["streamWindowBytes", 65_535, 0x7fff_ffff],
    ["maxFrameBytes", 16_384, 16_777_215],
    ["headerTableBytes", 0, 1 << 20],
    ["outputHighWaterBytes", 16_384, 0xffff_ffff],
    ["streamQueueHighWaterBytes", 0, 0x7fff_ffff],
    ["prefaceTimeoutMs", 0, 0x7fff_ffff],
    ["writeStallTimeoutMs", 0, 0x7fff_ffff],
    ["closeTimeoutMs", 1, 0x7fff_ffff],
    ["tickIntervalMs", 1, 60_000],
  ])("resolveHttp2Limits takes only whole numbers for %s from %d to %d", (name, min, max) => {
    for (const value of [min, max]) expect(resolveHttp2Limits({ [name]: value })[name]).toBe(value);
    for (const value of [min - 1, max + 1, min + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => resolveHttp2Limits({ [name]: value })).toThrow(
        new RangeError(`${name}: ${value} is not a whole number from ${min} to ${max}`),
      );
    }
  });

  test.each(["controlFrames", "emptyFrames", "resetsBeforeWork", "streamErrors"])(
    "resolveHttp2Limits refuses a rate limit below zero, or without numbers: %s",
    (name) => {
      for (const limit of [
        { burst: -1, perSecond: 1 },
        { burst: 1, perSecond: -1 },
        { burst: Number.NaN, perSecond: 1 },
      ]) {
        expect(() => resolveHttp2Limits({ [name]: limit })).toThrow(RangeError);
        expect(() => resolveHttp2Limits({ [name]: limit })).toThrow(name);
      }
    },
  );

  test("resolveHttp2Limits names a limit that does not exist", () => {
    const misspelt = { maxConcurrentStream: 1 } as Partial<Http2Limits>;
    expect(() => resolveHttp2Limits(misspelt)).toThrow("maxConcurrentStream: no such limit");
  });
});
