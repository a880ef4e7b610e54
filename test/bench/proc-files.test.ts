import { describe, expect, test } from "vitest";
import { cpuSeconds, memoryMiB, parseStat, parseStatusMiB } from "../../bench/harness/proc-files.mjs";

describe("parseStat", () => {
  test("parseStat adds user and system time, separately for child processes", () => {
    const text = "4711 (server) S 1 2 3 4 5 6 7 8 9 10 153 13 7 2 20 0 8 0 99 1000 200\n";
    expect(parseStat(text)).toEqual({ own: 166, endedChildren: 9 });
  });

  test("parseStat reads a line whose process name has blanks and parentheses", () => {
    const text = "4711 (a) S 1 (b c) R 1 2 3 4 5 6 7 8 9 10 5 6 0 1 20 0 8 0 99 1000 200\n";
    expect(parseStat(text)).toEqual({ own: 11, endedChildren: 1 });
  });
});

describe("parseStatusMiB", () => {
  const text = "Name:\tserver\nVmPeak:\t  999999 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";

  test("parseStatusMiB reads a value by its whole name", () => {
    expect(parseStatusMiB(text, "VmHWM")).toBe(20);
    expect(parseStatusMiB(text, "VmRSS")).toBe(10);
  });

  test("parseStatusMiB throws if the value is missing, as for a process that has ended", () => {
    expect(() => parseStatusMiB("Name:\tgone\n", "VmRSS")).toThrow("no VmRSS");
  });
});

describe.skipIf(process.platform !== "linux")("a process on Linux", () => {
  test("a process on Linux has used CPU time and memory", () => {
    expect(cpuSeconds(process.pid)).toBeGreaterThan(0);
    expect(memoryMiB(process.pid, "VmHWM")).toBeGreaterThanOrEqual(1);
  });
});
