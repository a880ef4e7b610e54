// `npm run coverage` runs the tests of the codec, and names every branch of it that no test has taken. Exit code 0: there is none; 1: there is one, or a test failed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const CONFIG = "scripts/branch-coverage/vitest.config.mjs";
/** The codec, and the answers that are made without protobuf-es. */
const FILES = [
  "src/protocol/answers/new-headers-answer.ts",
  ...readdirSync(join(root, "src", "wire")).map((name) => `src/wire/${name}`),
];

/**
 * @typedef {object} Range
 * @property {number} startOffset
 * @property {number} endOffset
 * @property {number} count
 *
 * @typedef {object} ScriptCoverage
 * @property {string} url
 * @property {readonly { readonly functionName: string, readonly ranges: readonly Range[] }[]} functions
 */

const folder = mkdtempSync(join(tmpdir(), "ext-proc-coverage-"));
try {
  const { status } = spawnSync(process.execPath, [vitest, "run", "--config", CONFIG], {
    cwd: root,
    env: { ...process.env, COVERAGE_FOLDER: folder },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) process.stderr.write("coverage: a test failed: run npm test\n");
  process.exitCode = status === 0 && report(readScripts()) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** What each file's code ran as, in every process that loaded it. */
function readScripts() {
  /** @type {Map<string, ScriptCoverage[]>} */
  const byFile = new Map(FILES.map((file) => [file, []]));
  for (const name of readdirSync(folder)) {
    /** @type {{ readonly result: readonly ScriptCoverage[] }} */
    const { result } = JSON.parse(readFileSync(join(folder, name), "utf8"));
    for (const script of result) byFile.get(FILES.find((file) => script.url.endsWith(`/${file}`)) ?? "")?.push(script);
  }
  return byFile;
}

/**
 * @param {ReadonlyMap<string, readonly ScriptCoverage[]>} byFile
 * @returns {boolean} Whether all of it ran.
 */
function report(byFile) {
  let isWhole = true;
  for (const [file, scripts] of byFile) {
    const missed = scripts.length === 0 ? ["all of it"] : missedBlocks(scripts, accessorLengths(file));
    process.stdout.write(`${file}: ${missed.length === 0 ? "every branch" : `never ran: ${missed.join("; ")}`}\n`);
    isWhole &&= missed.length === 0;
  }
  return isWhole;
}

/**
 * The blocks that ran in no process. Nearly all code is the same in all of them; what is not counts by itself.
 *
 * @param {readonly ScriptCoverage[]} scripts
 * @param {ReadonlySet<number>} accessors
 */
function missedBlocks(scripts, accessors) {
  const length = Math.max(
    ...scripts.flatMap(({ functions }) => functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0)),
  );
  const ran = new Uint8Array(length);
  for (const script of scripts) {
    const counts = countsOf(script, length);
    for (let at = 0; at < length; at++) if ((counts[at] ?? 0) > 0) ran[at] = 1;
  }
  const missed = new Set();
  for (const { functions } of scripts)
    for (const { functionName, ranges } of functions)
      for (const { startOffset, endOffset } of ranges)
        if (
          !(functionName === "" && accessors.has(endOffset - startOffset)) &&
          !ran.subarray(startOffset, endOffset).includes(1)
        )
          missed.add(`${functionName || "a function"} (${startOffset} to ${endOffset})`);
  return [...missed];
}

/**
 * How long the functions are that the test runner puts before a module, one for each of its exports, and what they do on
 * failure: those that no test imports never run.
 *
 * @param {string} file
 */
function accessorLengths(file) {
  const names = readFileSync(join(root, file), "utf8").matchAll(/^export (?:async )?(?:function|class|const) (\w+)/gm);
  return new Set([
    "catch {}".length,
    ...[...names].map(([, name]) => `() => { try { return ${name} } catch {} }`.length),
  ]);
}

/**
 * How often each character of a script ran: what the innermost range around it says.
 *
 * @param {ScriptCoverage} script
 * @param {number} length
 */
function countsOf({ functions }, length) {
  const counts = new Float64Array(length);
  const ranges = functions.flatMap((one) => one.ranges);
  ranges.sort((a, b) => b.endOffset - b.startOffset - (a.endOffset - a.startOffset));
  for (const { startOffset, endOffset, count } of ranges) counts.fill(count, startOffset, endOffset);
  return counts;
}
