// Results as tables, for a terminal and for Markdown.
import { halfSpread } from "../harness/statistics.mjs";
import { REFERENCES } from "./results.mjs";

/** @typedef {import("./results.mjs").ScenarioResult} ScenarioResult */

/**
 * A scenario's rows, the first of which has the column heads. The spread (±) is that of the compared metric.
 *
 * @param {ScenarioResult} scenario
 * @returns {string[][]}
 */
export function tableRows({ metrics, compared, peers }) {
  const references = REFERENCES.filter((reference) => peers.some(({ ratios }) => reference in ratios));
  const head = ["peer", ...metrics.map(({ label }) => label), "spread", ...references.map((name) => `of ${name}`)];
  const rows = peers.map(({ peer, metrics: values, ratios }) => {
    const summary = values[compared];
    return [
      peer,
      ...metrics.map(({ key, digits }) => decimal(values[key]?.median, digits)),
      summary === undefined ? "" : `±${Math.round(halfSpread(summary) * 100)} %`,
      ...references.map((name) => decimal(ratios[name], 2)),
    ];
  });
  return [head, ...rows];
}

/**
 * @param {number | undefined} value
 * @param {number} digits
 */
function decimal(value, digits) {
  if (value === undefined || Number.isNaN(value)) return "-";
  const [whole = "", fraction] = value.toFixed(digits).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/**
 * @param {ScenarioResult} scenario
 * @returns {string}
 */
export function textTable(scenario) {
  const rows = tableRows(scenario);
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
  return [`${scenario.name}: ${scenario.title}`, ...lines.map((line) => `  ${line.trimEnd()}`)].join("\n");
}

/**
 * @param {ScenarioResult} scenario
 * @returns {string}
 */
export function markdownTable(scenario) {
  const [head = [], ...rows] = tableRows(scenario);
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(" | ")} |`;
  const rule = `| :-- |${" --: |".repeat(head.length - 1)}`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
