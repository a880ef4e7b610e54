// What a run has found out, as it is written to JSON.
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { medianRatio, summarize } from "../harness/statistics.mjs";

/**
 * @typedef {import("../harness/statistics.mjs").Summary} Summary
 * @typedef {import("../scenarios/metrics.mjs").Metric} Metric
 *
 * @typedef {object} PeerResult
 * @property {string} peer
 * @property {Record<string, Summary>} metrics By the metric's key.
 * @property {Record<string, number>} ratios Of the compared metric, by the name of the reference. Below 1: less.
 * @property {readonly Record<string, number>[]} rounds What was measured, round by round.
 *
 * @typedef {object} ScenarioResult
 * @property {string} name
 * @property {string} title
 * @property {readonly Metric[]} metrics
 * @property {string} compared
 * @property {PeerResult[]} peers
 *
 * @typedef {object} Results
 * @property {string} date
 * @property {string} command
 * @property {{ readonly processor: string, readonly cores: number, readonly memoryGiB: number, readonly linux: string }} machine
 * @property {{ readonly rounds: number, readonly seconds: number }} measured
 * @property {Record<string, string>} versions By the name of the peer.
 * @property {string[]} notes What was skipped, left out or excluded and why, and what else a reader has to know.
 * @property {ScenarioResult[]} scenarios
 */

/** Whom the others are compared with. */
export const REFERENCES = ["grpc-go", "tonic"];
/** Load average of a machine that does nothing else worth mentioning. */
const QUIET_LOAD = 0.3;

/**
 * A run that is about to start.
 *
 * @param {import("../harness/command-line.mjs").BenchOptions} options
 * @returns {Results}
 */
export function describeRun({ rounds, seconds }) {
  return {
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    command: ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" "),
    machine: {
      processor: processorName(),
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      linux: release().split(".").slice(0, 2).join("."),
    },
    measured: { rounds, seconds },
    versions: {},
    notes: busyNotes(loadavg()[0] ?? 0),
    scenarios: [],
  };
}

/**
 * Others' work on the same cores makes every figure worse, latency by far the most.
 *
 * @param {number} load The load average of the minute before the run.
 * @returns {string[]}
 */
function busyNotes(load) {
  if (load <= QUIET_LOAD) return [];
  return [`the machine was busy before the run (load average ${load.toFixed(1)}): trust ratios more than figures`];
}

function processorName() {
  const known = /^model name\s*: (.+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
  return known ?? process.arch;
}

/**
 * @param {Pick<ScenarioResult, "name" | "title" | "metrics" | "compared">} scenario
 * @param {ReadonlyMap<string, readonly Record<string, number>[]>} measurements By the name of the peer.
 * @returns {ScenarioResult}
 */
export function summarizeScenario({ name, title, metrics, compared }, measurements) {
  const valuesOf = (/** @type {string} */ peer, /** @type {string} */ key) =>
    (measurements.get(peer) ?? []).map((round) => Number(round[key]));
  const peers = [...measurements].map(([peer, rounds]) => ({
    peer,
    metrics: Object.fromEntries(metrics.map(({ key }) => [key, summarize(valuesOf(peer, key))])),
    ratios: Object.fromEntries(
      REFERENCES.filter((reference) => measurements.has(reference)).map((reference) => [
        reference,
        medianRatio(valuesOf(peer, compared), valuesOf(reference, compared)),
      ]),
    ),
    rounds,
  }));
  return { name, title, metrics, compared, peers };
}
