// `npm run bench:debug [SECONDS] [ROUNDS]`: what 50 callers of the debug service, each in a loop, take of the throughput of
// Envoy's calls. Rounds with and without them alternate on one server. What is compared is streams for each second of the
// server's CPU: on a machine that others use too, streams for each second of the clock say more of those. What callers
// take is bounded for each second of the clock, so it is given as a share of a whole core. Exit code: 0 where they take
// at most 10 %, 1 if it is more, 2 where h2load is missing.
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { grpcBody, headerMessages } from "./harness/messages.mjs";
import { NODE_FLAGS } from "./harness/peers.mjs";

const CALLERS = 50;
const MOST = 0.1;
const [seconds = 4, rounds = 4] = process.argv.slice(2).map(Number);
/** Share of a core that the server had in the last round. */
let share = 0;
const root = fileURLToPath(new URL("..", import.meta.url));

if (spawnSync("h2load", ["--version"]).status !== 0) {
  process.stderr.write("bench:debug: needs h2load\n");
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), "ext-proc-bench-debug-"));
const bodyFile = join(folder, "headers");
writeFileSync(bodyFile, grpcBody(headerMessages()));
const off = ["--status-listen", "off", "--admin-listen", "off", "--log-level", "info"];
const server = spawn(
  process.execPath,
  [...NODE_FLAGS, join(root, "dist/cli/main.js"), "serve", "--debug", "on", "--listen", "127.0.0.1:0", ...off],
  { stdio: ["ignore", "pipe", "inherit"] },
);
try {
  const port = await listeningPort();
  const first = new AbortController();
  const warming = Array.from({ length: CALLERS }, () => callOn(port, first.signal, {}));
  await streamsPerCpuSecond(port);
  first.abort();
  await Promise.all(warming);
  /** @type {Record<"alone" | "beside", number[]>} */
  const found = { alone: [], beside: [] };
  /** @type {number[]} */
  const shares = [];
  /** @type {Record<string, number>} */
  const statuses = {};
  for (let round = 0; round < rounds; round++) {
    found.alone.push(await streamsPerCpuSecond(port));
    const stop = new AbortController();
    const calling = Array.from({ length: CALLERS }, () => callOn(port, stop.signal, statuses));
    found.beside.push(await streamsPerCpuSecond(port));
    shares.push(share);
    stop.abort();
    await Promise.all(calling);
  }
  const [alone, beside] = [median(found.alone), median(found.beside)];
  const shareOfCore = Number(median(shares).toFixed(2));
  const taken = (1 - beside / alone) * shareOfCore;
  process.stdout.write(
    `${JSON.stringify({ callers: CALLERS, seconds, rounds, alone, beside, shareOfCore, taken: Number(taken.toFixed(3)), statuses, found })}\n`,
  );
  process.exitCode = taken <= MOST ? 0 : 1;
} finally {
  server.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

/** @returns {Promise<number>} */
async function listeningPort() {
  let output = "";
  for await (const text of server.stdout.setEncoding("utf8")) {
    output += text;
    const [, port] = /"address":"127\.0\.0\.1:(\d+)"/.exec(output) ?? [];
    if (port !== undefined) {
      server.stdout.resume();
      return Number(port);
    }
  }
  throw new Error("the server did not listen");
}

/**
 * @param {number} port
 * @param {AbortSignal} signal
 * @param {Record<string, number>} statuses
 */
async function callOn(port, signal, statuses) {
  const url = `http://127.0.0.1:${port}/extproc.debug.v1.DebugService/Simulate`;
  while (!signal.aborted) {
    try {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(url, { method: "POST", headers, body: "{}", signal });
      await answer.arrayBuffer();
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/**
 * @param {number} port
 * @returns {Promise<number>}
 */
async function streamsPerCpuSecond(port) {
  const path = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
  const args = ["-c", "4", "-m", "50", "-D", String(seconds), "-d", bodyFile, "-H", "content-type: application/grpc"];
  const before = cpuSeconds();
  const output = await new Promise((resolve, reject) => {
    execFile("h2load", [...args, `http://127.0.0.1:${port}${path}`], (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  const used = cpuSeconds() - before;
  share = used / seconds;
  return Math.round(Number(/^requests: .* (\d+) succeeded/m.exec(String(output))?.[1]) / used);
}

/** User and system time of the server so far, of all its threads. */
function cpuSeconds() {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  // utime and stime, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}
