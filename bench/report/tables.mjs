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
 * Rows with every column as wide as its widest cell; names to the left, numbers to the right.
 *
 * @param {readonly string[][]} rows
 * @returns {string[][]}
 */
function align(rows) {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))),
  );
}

/**
 * @param {ScenarioResult} scenario
 * @returns {string}
 */
export function textTable(scenario) {
  const lines = align(tableRows(scenario)).map((row) => `  ${row.join("  ").trimEnd()}`);
  return [`${scenario.name}: ${scenario.title}`, ...lines].join("\n");
}

/**
 * A table as the project's formatter leaves it.
 *
 * @param {ScenarioResult} scenario
 * @returns {string}
 */
export function markdownTable(scenario) {
  const [head = [], ...rows] = align(tableRows(scenario));
  const rule = head.map(({ length }, column) =>
    column === 0 ? `:${"-".repeat(length - 1)}` : `${"-".repeat(length - 1)}:`,
  );
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
