// How the rows of the protocol's test matrix fared behind several releases of Envoy, read from vitest's JSON reports. A
// row is a test whose name begins with "row NN: ".

/** @typedef {{ title: string, status: string, meta?: { skippedBecause?: string } }} TestResult */
/** @typedef {{ testResults: { assertionResults: TestResult[] }[] }} Report */
/** @typedef {{ row: string, outcome: "pass" | "skip" | "FAIL", reason?: string }} RowOutcome */
/** @typedef {{ release: string, rows: RowOutcome[] }} RowRun */

/**
 * The rows in a report, in their order.
 *
 * @param {Report} report
 * @returns {RowOutcome[]}
 */
export function readRows({ testResults }) {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .flatMap(({ title, status, meta }) => {
      const row = /^row (\w+): /.exec(title)?.[1];
      return row === undefined ? [] : [rowOutcome(row, status, meta?.skippedBecause)];
    })
    .sort((one, other) => compareRows(one.row, other.row));
}

/**
 * The table row × release, a line of totals, and why rows were skipped, as lines.
 *
 * @param {readonly RowRun[]} runs
 * @returns {string[]}
 */
export function rowTable(runs) {
  const releases = runs.map(({ release }) => release);
  const names = [...new Set(runs.flatMap(({ rows }) => rows.map(({ row }) => row)))].sort(compareRows);
  const line = (/** @type {string} */ head, /** @type {readonly string[]} */ cells) =>
    (head.padEnd(8) + cells.map((cell) => cell.padEnd(9)).join("")).trimEnd();
  const outcomeOf = (/** @type {RowRun} */ run, /** @type {string} */ name) =>
    run.rows.find(({ row }) => row === name)?.outcome ?? "FAIL";
  return [
    line("row", releases),
    ...names.map((name) =>
      line(
        name,
        runs.map((run) => outcomeOf(run, name)),
      ),
    ),
    line(
      "passed",
      runs.map(({ rows }) => `${rows.filter(({ outcome }) => outcome === "pass").length}/${names.length}`),
    ),
    ...runs.flatMap(({ release, rows }) => skippedLines(release, rows)),
  ];
}

/**
 * @param {string} row
 * @param {string} status
 * @param {string | undefined} reason
 * @returns {RowOutcome}
 */
function rowOutcome(row, status, reason) {
  if (status === "passed") return { row, outcome: "pass" };
  // One that is skipped without a reason never ran, because its suite failed before it.
  return reason === undefined || status === "failed" ? { row, outcome: "FAIL" } : { row, outcome: "skip", reason };
}

/**
 * @param {string} release
 * @param {readonly RowOutcome[]} rows
 * @returns {string[]}
 */
function skippedLines(release, rows) {
  const reasons = [...new Set(rows.map(({ reason }) => reason))].filter((reason) => reason !== undefined);
  return reasons.map((reason) => {
    const skipped = rows.filter((candidate) => candidate.reason === reason).map(({ row }) => row);
    return `skipped on ${release}: ${skipped.join(", ")}: ${reason}`;
  });
}

/**
 * 13 before 13b before 14.
 *
 * @param {string} one
 * @param {string} other
 */
function compareRows(one, other) {
  return Number.parseInt(one, 10) - Number.parseInt(other, 10) || one.localeCompare(other);
}
