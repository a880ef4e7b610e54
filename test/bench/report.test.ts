import { describe, expect, test } from "vitest";
import { drawChart } from "../../bench/report/chart.mjs";
import { replaceSection, resultsSection } from "../../bench/report/docs-page.mjs";
import { summarizeScenario } from "../../bench/report/results.mjs";
import { markdownTable, textTable } from "../../bench/report/tables.mjs";
import { assertWellFormed } from "./well-formed-xml.ts";

const SCENARIO = {
  name: "headers-50",
  title: "header streams",
  metrics: [
    { key: "cpuUs", label: "CPU µs/stream", digits: 1 },
    { key: "perSecond", label: "streams/s", digits: 0 },
  ],
  compared: "cpuUs",
};

const summary = summarizeScenario(
  SCENARIO,
  new Map([
    ["ext-proc", [10, 12, 11].map((cpuUs) => ({ cpuUs, perSecond: 1_234_567 }))],
    ["grpc-go", [40, 48, 44].map((cpuUs) => ({ cpuUs, perSecond: 20_000 }))],
    ["tonic", [20, 24, 22].map((cpuUs) => ({ cpuUs, perSecond: 999.6 }))],
    ["a<b&c", [900, 900, 900].map((cpuUs) => ({ cpuUs, perSecond: 10 }))],
  ]),
);

const results = {
  date: "2026-11-02T10:00:00Z",
  command: "npm run bench",
  machine: { processor: "a processor", cores: 2, memoryGiB: 24, linux: "6.1" },
  measured: { rounds: 3, seconds: 1 },
  versions: { "ext-proc": "0.1.0", tonic: "0.14.9" },
  notes: ["grpc-java: skipped, mvn is missing: install Maven"],
  scenarios: [summary],
};

describe("tables", () => {
  test("tables align columns, group thousands and show spread and ratios", () => {
    expect(textTable(summary).split("\n")).toEqual([
      "headers-50: header streams",
      "  peer      CPU µs/stream  streams/s  spread  of grpc-go  of tonic",
      "  ext-proc           11.0  1,234,567    ±9 %        0.25      0.50",
      "  grpc-go            44.0     20,000    ±9 %        1.00      2.00",
      "  tonic              22.0      1,000    ±9 %        0.50      1.00",
      "  a<b&c             900.0         10    ±0 %       20.45     40.91",
    ]);
  });

  test("tables have no ratio column for a reference that was not measured", () => {
    const alone = summarizeScenario(SCENARIO, new Map([["ext-proc", [{ cpuUs: 1, perSecond: 2 }]]]));
    expect(markdownTable(alone)).toBe(
      [
        "| peer     | CPU µs/stream | streams/s | spread |",
        "| :------- | ------------: | --------: | -----: |",
        "| ext-proc |           1.0 |         2 |   ±0 % |",
      ].join("\n"),
    );
  });
});

describe("drawChart", () => {
  test("the chart is well-formed XML, with names escaped", () => {
    const chart = drawChart(results);
    expect(() => assertWellFormed(chart)).not.toThrow();
    expect(chart).toContain("a&lt;b&amp;c");
  });

  test("the chart is the same for the same numbers", () => {
    expect(drawChart(results)).toBe(drawChart(structuredClone(results)));
  });

  test("the chart draws bars in proportion, and cuts a bar that is much longer than the others", () => {
    const bars = [...drawChart(results).matchAll(/<rect class="(.+?)" x="(.+?)" .*width="(.+?)"/g)];
    const widths = bars.map(([, , , width]) => Number(width));
    expect(widths.slice(0, 3)).toEqual([125, 250, 500]);
    expect(bars[0]?.[1]).toBe("bar ours");
    // The fourth has two pieces with a gap between them.
    expect(widths).toHaveLength(5);
  });

  test("the chart of a run without scenarios is well-formed XML", () => {
    expect(() => assertWellFormed(drawChart({ ...results, scenarios: [] }))).not.toThrow();
  });
});

describe("docs page", () => {
  const begin = "<!-- bench:begin, written by npm run bench -- --docs -->";
  const end = "<!-- bench:end -->";

  test("replaceSection replaces only the text between its two comments, also a second time", () => {
    const once = replaceSection(`before\n${begin}\nold\n${end}\nafter\n`, "new");
    expect(once).toBe(`before\n${begin}\n\nnew\n\n${end}\nafter\n`);
    expect(replaceSection(once, "new")).toBe(once);
  });

  test("replaceSection rejects a page without the comments", () => {
    expect(() => replaceSection("text", "new")).toThrow("bench:begin");
  });

  test("the page says when, how and on what machine it was measured, and what was skipped", () => {
    const section = resultsSection(results);
    for (const fact of ["2026-11-02", "`npm run bench`", "2 cores", "tonic 0.14.9", "- grpc-java: skipped"]) {
      expect(section).toContain(fact);
    }
  });
});
