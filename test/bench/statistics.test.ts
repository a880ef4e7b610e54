import { describe, expect, test } from "vitest";
import { measureInTurns } from "../../bench/harness/rounds.mjs";
import { halfSpread, median, medianRatio, summarize } from "../../bench/harness/statistics.mjs";

describe("median", () => {
  test("the median is the middle value, in any order of the values", () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  test("the median of an even number of values lies between the two middle values", () => {
    expect(median([1, 2, 10, 4])).toBe(3);
  });

  test("the median of one value is that value, and of no value NaN", () => {
    expect(median([7])).toBe(7);
    expect(median([])).toBeNaN();
  });
});

describe("spread", () => {
  test("the spread is half the distance of the extremes divided by the median", () => {
    const summary = summarize([90, 100, 120]);
    expect(summary).toEqual({ median: 100, least: 90, most: 120 });
    expect(halfSpread(summary)).toBeCloseTo(0.15);
  });
});

describe("medianRatio", () => {
  test("medianRatio compares values of one round, so a slow round does not change the ratio", () => {
    expect(medianRatio([10, 100, 12], [20, 200, 24])).toBe(0.5);
  });
});

describe("measureInTurns", () => {
  const subject = (name: string, order: string[], failsAt = Number.POSITIVE_INFINITY) => {
    let measured = 0;
    return {
      measure: async () => {
        order.push(name);
        if (++measured === failsAt) throw new Error(`${name} fell over`);
        return { cpuUs: measured };
      },
      close: async () => {},
    };
  };

  test("measureInTurns reverses the order in every other round", async () => {
    const order: string[] = [];
    const subjects = new Map(["a", "b", "c"].map((name) => [name, subject(name, order)]));
    const measurements = await measureInTurns(subjects, 3, () => {});
    expect(order.join("")).toBe("abccbaabc");
    expect(measurements.get("b")).toEqual([{ cpuUs: 1 }, { cpuUs: 2 }, { cpuUs: 3 }]);
  });

  test("measureInTurns leaves out a peer that fails and continues with the others", async () => {
    const order: string[] = [];
    const problems: string[] = [];
    const subjects = new Map([
      ["a", subject("a", order)],
      ["b", subject("b", order, 2)],
    ]);
    const measurements = await measureInTurns(subjects, 3, (peer, { message }) => problems.push(`${peer}: ${message}`));
    expect([...measurements.keys()]).toEqual(["a"]);
    expect(problems).toEqual(["b: b fell over"]);
    expect(order.join("")).toBe("abbaa");
  });
});
