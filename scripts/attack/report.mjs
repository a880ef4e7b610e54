// The report of a suite: what a person reads, and what `--json` writes.
import { findings } from "./verdict.mjs";

/** @typedef {import("./play.mjs").Played} Played */

/**
 * What one attack came to, line by line.
 *
 * @param {Played} played
 */
export function attackLines(played) {
  const all = findings(played);
  const bad = all.filter(({ good }) => !good);
  const { attack, calm, attacked, peakMiB, afterMiB } = played;
  const figures = [
    `p99 ${attacked.p99Ms.toFixed(1)} ms (calm ${calm.p99Ms.toFixed(1)})`,
    `other work ${Math.round(played.othersShare * 100)} %`,
    `peak ${Math.round(peakMiB)} MiB`,
    `afterwards ${Math.round(afterMiB)} MiB`,
  ];
  return [
    `${bad.length === 0 ? "ok    " : "FAILED"} ${attack.name.padEnd(24)} ${figures.join(", ")}`,
    ...bad.map(({ question, answer }) => `         ${question}: ${answer}`),
  ];
}

const COLUMNS = [
  "attack",
  "fault",
  "survived",
  "codes",
  "counted",
  "honest",
  "p99 calm",
  "p99",
  "peak",
  "after",
  "other work",
  "verdict",
];

/**
 * @param {readonly Played[]} suite
 * @returns {string[]}
 */
export function table(suite) {
  const rows = suite.map((played) => {
    const { attack, attacked, afterwards, calm } = played;
    const all = findings(played);
    const good = (/** @type {string} */ question) =>
      all.find((each) => each.question === question)?.good ? "yes" : "NO";
    const failed = [attacked, afterwards]
      .flatMap(({ failed: counts }) => Object.values(counts))
      .reduce((a, b) => a + b, 0);
    return [
      attack.name,
      String(attack.fault ?? ""),
      good("survived"),
      good("right codes"),
      attack.counted === undefined ? "-" : good("counted"),
      `${failed} of ${attacked.sent + afterwards.sent} failed`,
      `${calm.p99Ms.toFixed(1)} ms`,
      `${attacked.p99Ms.toFixed(1)} ms`,
      `${Math.round(played.peakMiB)} MiB`,
      `${Math.round(played.afterMiB)} MiB`,
      `${Math.round(played.othersShare * 100)} %`,
      all.every((each) => each.good) ? "ok" : "FAILED",
    ];
  });
  const widths = COLUMNS.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (/** @type {readonly string[]} */ cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(COLUMNS), ...rows.map(line)];
}

/**
 * The suite as an object for JSON: every figure and finding.
 *
 * @param {readonly Played[]} suite
 * @param {number} seconds
 */
export function asJson(suite, seconds) {
  return {
    node: process.version,
    seconds,
    attacks: suite.map(({ attack, ...figures }) => ({
      name: attack.name,
      what: attack.what,
      fault: attack.fault,
      from: attack.from,
      ...figures,
      findings: findings({ attack, ...figures }),
    })),
  };
}
