import { expect, test } from "vitest";
import { readRows, rowTable } from "../../scripts/row-table.mjs";

/** A report of one file with these tests: titles, and why they were skipped, or null for one that failed. */
function report(tests: Readonly<Record<string, string | null | undefined>>) {
  const assertionResults = Object.entries(tests).map(([title, reason]) => ({
    title,
    status: reason === null ? "failed" : reason === undefined ? "passed" : "skipped",
    ...(typeof reason === "string" && reason !== "" && { meta: { skippedBecause: reason } }),
  }));
  return { testResults: [{ assertionResults }] };
}

test("readRows reads rows in the order of their numbers, and nothing else", () => {
  const rows = readRows(
    report({ "row 100: c": undefined, "a row of trees": null, "row 13b: b": undefined, "row 13: a": null }),
  );
  expect(rows).toEqual([
    { row: "13", outcome: "FAIL" },
    { row: "13b", outcome: "pass" },
    { row: "100", outcome: "pass" },
  ]);
});

test("a row that is skipped without a reason counts as failed, because its suite failed", () => {
  expect(readRows(report({ "row 1: a": "" }))).toEqual([{ row: "1", outcome: "FAIL" }]);
});

test("rowTable prints a line for each row, totals, and the reasons for skipped rows", () => {
  const runs = [
    {
      release: "1.36.4",
      rows: readRows(report({ "row 2: a": undefined, "row 106: b": "too old", "row 107: c": "too old" })),
    },
    { release: "1.40.0", rows: readRows(report({ "row 2: a": null, "row 106: b": undefined })) },
  ];
  expect(rowTable(runs)).toEqual([
    "row     1.36.4   1.40.0",
    "2       pass     FAIL",
    "106     skip     pass",
    "107     skip     FAIL",
    "passed  1/3      1/3",
    "skipped on 1.36.4: 106, 107: too old",
  ]);
});
