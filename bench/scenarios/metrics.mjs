// What is measured, with its unit.

/**
 * @typedef {object} Metric
 * @property {string} key
 * @property {string} label With its unit, as a table's column is headed.
 * @property {number} digits After the decimal point.
 */

/** @type {(per: string) => Metric} */
export const cpuPer = (per) => ({ key: "cpuUs", label: `CPU µs/${per}`, digits: 1 });
/** @type {(what: string) => Metric} */
export const perSecond = (what) => ({ key: "perSecond", label: `${what}/s`, digits: 0 });
/** @type {Metric} */
export const PEAK_MEMORY = { key: "peakMiB", label: "peak MiB", digits: 0 };
/** @type {readonly Metric[]} */
export const LATENCY = [
  { key: "p50Us", label: "p50 µs", digits: 0 },
  { key: "p99Us", label: "p99 µs", digits: 0 },
  { key: "p999Us", label: "p99.9 µs", digits: 0 },
  { key: "lateUs", label: "client late p99 µs", digits: 0 },
];

/**
 * The values of {@link LATENCY}.
 *
 * @param {import("../harness/open-loop.mjs").OpenLoopResult} result
 */
export function latencyValues({ latencyUs, latenessUs }) {
  return { p50Us: latencyUs.p50, p99Us: latencyUs.p99, p999Us: latencyUs.p99_9, lateUs: latenessUs.p99 };
}
