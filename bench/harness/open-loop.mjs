// Latency: bench/load sends at times drawn beforehand, whether or not answers are late.
import { LOAD_CLIENT } from "./peers.mjs";
import { run } from "./processes.mjs";

/** At higher rates the client itself falls behind, since arrivals on time leave it nothing to send together. */
const MOST_PER_SECOND = 50_000;

/**
 * @typedef {object} Latency Microseconds from the time a request was due to its answer.
 * @property {number} p50
 * @property {number} p99
 * @property {number} p99_9
 *
 * @typedef {object} OpenLoopResult
 * @property {number} arrivals
 * @property {number} failed Wrong, late by seconds, or not answered at all.
 * @property {string} [failure] What the first failure was.
 * @property {Latency} latencyUs
 * @property {Latency} latenessUs How late the client itself sent.
 *
 * @typedef {object} OpenLoopRun
 * @property {string} address
 * @property {number} connections
 * @property {number} ratePerSecond Taken as 50,000 if it is more.
 * @property {number} seconds
 * @property {string} [bodyFile] What each request posts as gRPC; none: GET over HTTP/1.1.
 * @property {number} [answerBytes] DATA bytes of a right answer.
 */

/**
 * @param {OpenLoopRun} load
 * @returns {Promise<OpenLoopResult>}
 */
export async function openLoop({ address, connections, ratePerSecond, seconds, bodyFile, answerBytes = 0 }) {
  const rate = Math.min(ratePerSecond, MOST_PER_SECOND).toFixed(1);
  const options = { address, connections, rate, seconds, "answer-bytes": answerBytes };
  const flags = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const kind = bodyFile === undefined ? ["-http1"] : ["-body", bodyFile];
  return JSON.parse(await run([LOAD_CLIENT.program, ...flags, ...kind], { limitMs: (seconds + 30) * 1000 }));
}
