// Puts a run into docs/performance.md, between two comments, and its chart next to the page.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawChart } from "./chart.mjs";
import { markdownTable } from "./tables.mjs";

/** @typedef {import("./results.mjs").Results} Results */

const BEGIN = "<!-- bench:begin, written by npm run bench -- --docs -->";
const END = "<!-- bench:end -->";

/**
 * @param {Results} results
 * @param {string} root
 * @returns {string[]} The files written, from the project's folder.
 */
export function writeDocs(results, root) {
  const page = join("docs", "performance.md");
  const chart = join("docs", "performance.svg");
  const path = join(root, page);
  writeFileSync(path, replaceSection(readFileSync(path, "utf8"), resultsSection(results)));
  writeFileSync(join(root, chart), drawChart(results));
  return [page, chart];
}

/**
 * @param {string} text
 * @param {string} section
 * @returns {string}
 * @throws {Error} Where the page has lost the comments.
 */
export function replaceSection(text, section) {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md: no "${BEGIN}" with "${END}" after it`);
  return `${text.slice(0, begin + BEGIN.length)}\n\n${section}\n\n${text.slice(end)}`;
}

/**
 * @param {Results} results
 * @returns {string}
 */
export function resultsSection({ date, command, machine, measured, versions, notes, scenarios }) {
  const { processor, cores, memoryGiB, linux } = machine;
  const peers = Object.entries(versions).map(([peer, version]) => `${peer} ${version}`);
  const lines = [
    `Measured on ${date.slice(0, 10)} by \`${command}\`: ${measured.rounds} rounds of ${measured.seconds} s,`,
    `on ${cores} cores (${processor}), ${memoryGiB} GiB of memory, Linux ${linux}.`,
    `Versions: ${peers.join("; ")}.`,
    "",
    "![Server CPU per stream and per request, by server](performance.svg)",
  ];
  for (const scenario of scenarios) {
    lines.push("", `### \`${scenario.name}\`: ${scenario.title}`, "", markdownTable(scenario));
  }
  if (notes.length > 0) lines.push("", "Notes of this run:", "", ...notes.map((note) => `- ${note}`));
  return lines.join("\n");
}
