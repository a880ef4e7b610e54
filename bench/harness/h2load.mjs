// Throughput: nghttp2's h2load, which costs less per stream than any server here.
import { run } from "./processes.mjs";

/**
 * @typedef {object} H2loadResult
 * @property {number} seconds
 * @property {number} requests
 * @property {number} good Answers with a 2xx status.
 * @property {number} dataBytes All DATA received.
 *
 * @typedef {object} H2loadRun
 * @property {string} url
 * @property {number} connections
 * @property {number} inFlight Requests at a time on each connection.
 * @property {number} requests
 * @property {string} [bodyFile] What each request posts as gRPC; none: GET over HTTP/1.1.
 */

const LIMIT_MS = 120_000;
const GRPC_HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

/**
 * @param {H2loadRun} load
 * @returns {Promise<H2loadResult>}
 */
export async function h2load({ url, connections, inFlight, requests, bodyFile }) {
  const kind = bodyFile === undefined ? ["--h1"] : ["-d", bodyFile, ...GRPC_HEADERS];
  const counts = ["-c", connections, "-m", inFlight, "-n", Math.max(requests, connections)].map(String);
  return parseH2load(await run(["h2load", ...counts, ...kind, url], { limitMs: LIMIT_MS }));
}

/**
 * Reads what h2load prints.
 *
 * @param {string} text
 * @returns {H2loadResult}
 */
export function parseH2load(text) {
  const [, time, unit] = /^finished in ([\d.]+)(us|ms|s|m|h)?, /m.exec(text) ?? [];
  const requests = /^requests: (\d+) total/m.exec(text)?.[1];
  const good = /^status codes: (\d+) 2xx/m.exec(text)?.[1];
  const dataBytes = /^traffic: .*\((\d+)\) data$/m.exec(text)?.[1];
  if (time === undefined || requests === undefined || good === undefined || dataBytes === undefined) {
    throw new Error(`h2load printed something unknown: ${text.slice(-500)}`);
  }
  return {
    seconds: Number(time) * secondsIn(unit),
    requests: Number(requests),
    good: Number(good),
    dataBytes: Number(dataBytes),
  };
}

/** @param {string | undefined} unit */
function secondsIn(unit) {
  switch (unit) {
    case "us":
      return 1e-6;
    case "ms":
      return 1e-3;
    case "m":
      return 60;
    case "h":
      return 3600;
    default:
      return 1;
  }
}
