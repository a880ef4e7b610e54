// `npm run soak [-- --streams N] [--connections N] [--in-flight N]` runs 1,000,000 ext_proc streams against the server as
// it was built, then opens 1,000 and 10,000 that stay idle. It prints what the server has in use before, meanwhile and
// afterwards. Exit code 0: nothing grew, and an idle stream is cheap enough; 1: not so; 2: wrong usage.
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SoakConnection } from "./soak/connection.mjs";
import { REQUEST_MESSAGE } from "./soak/messages.mjs";

/** @typedef {import("./soak/server.mjs").Usage} Usage */

const ROUNDS = 20;
/** Rounds until code is compiled and tables have their size: what the server has in use then is what it may keep. */
const WARM_UP_ROUNDS = 2;
/** Heap and buffers may differ by so much between two rounds in which nothing was kept: at 1,000,000 streams, a byte each. */
const SLACK_BYTES = 1 << 20;
const IDLE_STREAMS = [1_000, 10_000];
/** Below the server's limit of concurrent streams. */
const IDLE_PER_CONNECTION = 250;
/** Highest cost of an idle stream in addition to its headers. */
const MAX_IDLE_BYTES = 8 * 1024;

const options = readOptions();
if (options === undefined) {
  process.stderr.write(
    "usage: npm run soak [-- --streams N] [--connections N] [--in-flight N], whole numbers from 1 on\n",
  );
  process.exitCode = 2;
} else if (!existsSync(new URL("../dist/server.js", import.meta.url))) {
  process.stderr.write("soak: there is no dist/server.js; run: npm run build\n");
  process.exitCode = 2;
} else {
  process.exitCode = await soak(options);
}

/** @returns {{ streams: number, connections: number, inFlight: number } | undefined} */
function readOptions() {
  /** @param {string} value */
  const text = (value) => ({ type: /** @type {const} */ ("string"), default: value });
  try {
    const { values } = parseArgs({
      options: { streams: text("1000000"), connections: text("4"), "in-flight": text("50") },
    });
    const [streams, connections, inFlight] = [values.streams, values.connections, values["in-flight"]].map(Number);
    const isUsable = [streams, connections, inFlight].every((value) => Number.isInteger(value) && Number(value) > 0);
    return isUsable ? { streams: streams ?? 0, connections: connections ?? 0, inFlight: inFlight ?? 0 } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {{ streams: number, connections: number, inFlight: number }} options
 * @returns {Promise<number>} The exit code.
 */
async function soak(options) {
  const path = fileURLToPath(new URL("soak/server.mjs", import.meta.url));
  const server = fork(path, { execArgv: ["--expose-gc"] });
  try {
    const [{ port }] = await once(server, "message");
    const usage = async () => {
      server.send("usage");
      return /** @type {Promise<[Usage]>} */ (once(server, "message")).then(([answer]) => answer);
    };
    say(`Node ${process.versions.node}, ${options.streams} streams on ${options.connections} connections`);
    const grew = await runStreams(port, usage, options);
    const isTooMuch = await holdIdle(port, usage);
    return grew || isTooMuch ? 1 : 0;
  } catch (error) {
    say(`FAILED: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    server.kill();
  }
}

/**
 * @param {number} port
 * @param {() => Promise<Usage>} usage
 * @param {{ streams: number, connections: number, inFlight: number }} options
 * @returns {Promise<boolean>} Whether something grew.
 */
async function runStreams(port, usage, { streams, connections, inFlight }) {
  const atStart = await usage();
  row("before", atStart);
  const open = await openConnections(port, connections);
  const perRound = Math.ceil(streams / ROUNDS / connections);
  let warm = atStart;
  let last = atStart;
  for (let round = 1; round <= ROUNDS; round++) {
    await Promise.all(open.map((connection) => connection.run(perRound, inFlight)));
    last = await usage();
    row(`${round * perRound * connections} streams`, last);
    if (round === WARM_UP_ROUNDS) warm = last;
  }
  for (const connection of open) connection.close();
  const after = await untilClosed(usage, atStart.handles);
  row("connections closed", after);
  return [
    check("heap and buffers, last round against warm-up", last.heapBytes + last.externalBytes, {
      most: warm.heapBytes + warm.externalBytes + SLACK_BYTES,
    }),
    check("handles, last round against warm-up", last.handles, { most: warm.handles }),
    check("handles, afterwards against before", after.handles, { most: atStart.handles }),
  ].includes(false);
}

/**
 * @param {number} port
 * @param {() => Promise<Usage>} usage
 * @returns {Promise<boolean>} Whether a stream costs too much, or leaves something behind.
 */
async function holdIdle(port, usage) {
  let isTooMuch = false;
  for (const streams of IDLE_STREAMS) {
    const atStart = await usage();
    const open = await openConnections(port, Math.ceil(streams / IDLE_PER_CONNECTION));
    const before = await usage();
    await Promise.all(open.map((connection) => connection.hold(streams / open.length)));
    const held = await usage();
    row(`${streams} idle streams`, held);
    const used = held.heapBytes + held.externalBytes - before.heapBytes - before.externalBytes;
    const most = MAX_IDLE_BYTES + REQUEST_MESSAGE.length;
    if (!check(`bytes per idle stream, ${REQUEST_MESSAGE.length} of them headers`, used / streams, { most }))
      isTooMuch = true;
    say(`  resident: ${Math.round((held.rssBytes - before.rssBytes) / streams)} bytes per idle stream`);
    for (const connection of open) connection.close();
    const after = await untilClosed(usage, atStart.handles);
    row("connections closed", after);
    const mostLeft = atStart.heapBytes + atStart.externalBytes + SLACK_BYTES;
    if (!check("heap and buffers, afterwards", after.heapBytes + after.externalBytes, { most: mostLeft }))
      isTooMuch = true;
  }
  return isTooMuch;
}

/**
 * @param {number} port
 * @param {number} connections
 */
function openConnections(port, connections) {
  return Promise.all(Array.from({ length: connections }, () => SoakConnection.open(port)));
}

/**
 * The server learns of closed connections after some time.
 *
 * @param {() => Promise<Usage>} usage
 * @param {number} handles
 */
async function untilClosed(usage, handles) {
  let now = await usage();
  for (let tries = 0; now.handles > handles && tries < 100; tries++) now = await usage();
  return now;
}

/**
 * @param {string} what
 * @param {number} value
 * @param {{ most: number }} limit
 * @returns {boolean} Whether it holds.
 */
function check(what, value, { most }) {
  const holds = value <= most;
  say(`  ${holds ? "ok    " : "FAILED"} ${what}: ${Math.round(value)}, at most ${Math.round(most)}`);
  return holds;
}

/**
 * @param {string} when
 * @param {Usage} usage
 */
function row(when, { heapBytes, externalBytes, rssBytes, handles }) {
  /** @param {number} bytes */
  const mib = (bytes) => `${(bytes / (1 << 20)).toFixed(2).padStart(7)} MiB`;
  say(
    `${when.padEnd(20)} heap ${mib(heapBytes)}  buffers ${mib(externalBytes)}  rss ${mib(rssBytes)}  handles ${handles}`,
  );
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`${line}\n`);
}
