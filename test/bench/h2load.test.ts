import { describe, expect, test } from "vitest";
import { parseH2load } from "../../bench/harness/h2load.mjs";

const OUTPUT = `starting benchmark...
spawning thread #0: 2 total client(s). 50000 total requests
Application protocol: h2c
progress: 100% done

finished in 599.85ms, 83353.89 req/s, 10.89MB/s
requests: 50000 total, 50000 started, 50000 done, 49990 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 49990 2xx, 0 3xx, 0 4xx, 10 5xx
traffic: 6.54MB (6852764) total, 146.55KB (150070) headers (space savings 95.77%), 5.05MB (5300000) data
                     min         max         mean         sd        +/- sd
time for request:      458us      4.94ms      1.16ms       351us    90.44%
`;

describe("parseH2load", () => {
  test("parseH2load reads time, requests, good answers and bytes", () => {
    expect(parseH2load(OUTPUT)).toEqual({ seconds: 0.59985, requests: 50_000, good: 49_990, dataBytes: 5_300_000 });
  });

  test.each([
    ["812us", 0.000812],
    ["1.69s", 1.69],
    ["2.00m", 120],
    ["1.50h", 5400],
  ])("parseH2load reads a time of %s", (text, seconds) => {
    expect(parseH2load(OUTPUT.replace("599.85ms", text)).seconds).toBeCloseTo(seconds, 9);
  });

  test("parseH2load rejects text that is not a report, and quotes its end", () => {
    expect(() => parseH2load("Could not connect to host")).toThrow("Could not connect to host");
  });
});
