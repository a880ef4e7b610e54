// The index in docs/contributing/rules-and-tests.md, made of docs/envoy-behaviour.md and the names of tests.
import { withGeneratedPart } from "./part.mjs";
import { isNamed } from "./test-names.mjs";

/** @typedef {import("./test-names.mjs").TestName} TestName */

/**
 * A heading of docs/envoy-behaviour.md, or one of its rules with the citations in the brackets behind it.
 *
 * @typedef {{ heading: string, level: number } | { rule: string, citations: string[] }} Entry
 */

/** A rule in the index is at least this long: its first sentence, and further ones if that is shorter. */
const SHORTEST_RULE = 30;

/**
 * The page with the index in its generated part.
 *
 * @param {string} page
 * @param {readonly Entry[]} entries
 * @param {readonly TestName[]} names
 */
export function withRules(page, entries, names) {
  const lines = entries.flatMap((entry) => {
    if ("heading" in entry) return ["", `${"#".repeat(entry.level)} ${linked(entry.heading)}`, ""];
    return [`- ${entry.rule}`, ...entry.citations.map((citation) => `  - ${proof(citation, names)}`)];
  });
  return withGeneratedPart(page, "rules", lines.join("\n").replaceAll("\n\n\n", "\n\n").trim());
}

/**
 * The tests and scenarios that a citation names.
 *
 * @param {string} citation
 * @param {readonly TestName[]} names
 */
export function citedTests(citation, names) {
  if (/^row \w+$/.test(citation)) return names.filter(({ name }) => name.startsWith(`${citation}: `));
  const [where = "", ...rest] = citation.split(": ");
  const file = where.endsWith(".test.ts") ? where : `${where}.yaml`;
  return names.filter((each) => each.file === file && isNamed(rest.join(": "), each.name));
}

/**
 * The headings and rules of docs/envoy-behaviour.md, in order. A rule is a list item, a row of a table that has the column
 * `proof`, or the part of a paragraph before a citation. Other paragraphs and tables only introduce rules or sum them up.
 *
 * @param {string} document
 * @returns {Entry[]}
 */
export function rulesOf(document) {
  return blocksOf(document.slice(document.search(/^## /m))).flatMap((block) => {
    const [, marks, heading] = /^(#+) (.*)$/.exec(block) ?? [];
    if (marks !== undefined && heading !== undefined) return [{ heading, level: marks.length }];
    if (block.startsWith("|")) return rulesOfTable(block);
    return block.startsWith("- ") || CITATIONS.test(masked(block)) ? rulesOfText(block.replace(/^- /, "")) : [];
  });
}

/** Brackets that are not links. */
const CITATIONS = /(?<!\])\[([^\]]+)\](?!\()/;

/**
 * The headings, tables, list items and paragraphs of a document, the last two with their lines joined.
 *
 * @param {string} document
 */
function blocksOf(document) {
  return document
    .split(/\n\n+/)
    .flatMap((block) =>
      block.startsWith("|") ? [block] : block.split(/\n(?=- )/).map((text) => text.replaceAll(/\s+/g, " ")),
    );
}

/**
 * @param {string} table
 * @returns {Entry[]}
 */
function rulesOfTable(table) {
  const [head = [], , ...rows] = table.split("\n").map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
  if (head.at(-2) !== "proof") return [];
  return rows.map((cells) => ({
    rule: `${head[1]}: ${plain(cells[1] ?? "")}`,
    citations: citationsIn(cells.at(-2) ?? ""),
  }));
}

/**
 * A rule for each citation in a text, and one without citations if text follows the last one.
 *
 * @param {string} text
 * @returns {Entry[]}
 */
function rulesOfText(text) {
  const [citation] = CITATIONS.exec(masked(text)) ?? [];
  if (citation === undefined) return /\w/.test(text) ? [{ rule: shortened(text), citations: [] }] : [];
  const at = text.indexOf(citation);
  const rest = text.slice(at + citation.length);
  return [{ rule: shortened(text.slice(0, at)), citations: citationsIn(citation) }, ...rulesOfText(rest)];
}

/** @param {string} cell */
function citationsIn(cell) {
  return CITATIONS.exec(cell)?.[1]?.split("; ") ?? [];
}

/**
 * The text with each letter of code replaced, so that brackets in code are not found.
 *
 * @param {string} text
 */
function masked(text) {
  return text.replaceAll(/`[^`]*`/g, (code) => "x".repeat(code.length));
}

/**
 * The first sentences of a rule.
 *
 * @param {string} text
 */
function shortened(text) {
  const sentences = plain(text).split(/(?<=[.!?]) (?=\S)/);
  let rule = sentences.shift() ?? "";
  while (rule.length < SHORTEST_RULE && sentences.length > 0) rule += ` ${sentences.shift()}`;
  return rule;
}

/**
 * The text without its marks, and without what connects it to the text before.
 *
 * @param {string} text
 */
function plain(text) {
  return text
    .replaceAll(/\*\*|⚠ ?|\]\([^)]*\)|\[(?=[^\]]*\]\()/g, "")
    .replace(/^[\s.,;:]+/, "")
    .trim();
}

/** @param {string} heading */
function linked(heading) {
  const anchor = heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(/\s/g, "-");
  return `[${heading}](../envoy-behaviour.md#${anchor})`;
}

/**
 * The file that a citation names, with the name of the test, or with the citation and the number of names that match it.
 *
 * @param {string} citation
 * @param {readonly TestName[]} names
 */
function proof(citation, names) {
  const tests = citedTests(citation, names);
  const [first] = tests;
  if (first === undefined) throw new Error(`docs/envoy-behaviour.md cites a test that does not exist: ${citation}`);
  const link = `[${first.file}](../../${first.path})`;
  if (tests.length === 1) return `${link}: ${first.name}`;
  return `${link}: ${citation.replace(/^\S+: /, "")} (${tests.length} ${first.file.endsWith(".yaml") ? "scenarios" : "tests"})`;
}
