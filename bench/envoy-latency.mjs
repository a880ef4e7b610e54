// `npm run bench:latency` shows where the time goes that ext-proc adds behind a real Envoy: requests of 1, 8 and 64
// HTTP/1.1 clients, none, one and two messages a stream, over TCP and over a Unix socket. It prints a table in Markdown.
// Needs h2load and Envoy, as `npm run bench` does. Exit code 0: measured, 1: not, 2: wrong usage.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { NODE_FLAGS } from "./harness/peers.mjs";
import { cpuSeconds } from "./harness/proc-files.mjs";
import { run } from "./harness/processes.mjs";
import { UPSTREAM } from "./scenarios/behind-envoy.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { envoyBootstrap } = await import(new URL("../dist/cli/demo/envoy-bootstrap.js", import.meta.url).href);
const { startEnvoy } = await import(new URL("../dist/cli/demo/envoy-process.js", import.meta.url).href);
const { ensureEnvoy } = await import(new URL("../dist/cli/envoy/envoy-binary.js", import.meta.url).href);

const CLIENTS = [1, 8, 64];
const MESSAGES = [0, 1, 2];
const USAGE = `usage: npm run bench:latency [-- --rounds N --requests N]
  --rounds N    measurements of each case; default 3
  --requests N  of one client in each, four times as many of several; default 4000
`;

/** @param {number} count Messages of a stream; 0: no stream. */
function filterFor(count) {
  const mode = { request_header_mode: count > 0 ? "SEND" : "SKIP", response_header_mode: count > 1 ? "SEND" : "SKIP" };
  return { processing_mode: mode };
}

/** @param {string} listen @returns {Promise<{ pid: number, address: string, stop(): void }>} */
async function startServer(listen) {
  const off = ["--status-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
  const args = [...NODE_FLAGS, join(root, "dist", "cli", "main.js"), "serve", "hello", "--listen", listen, ...off];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  const address = await new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error(`ext-proc ended: ${text}`)));
    child.stdout.on("data", (chunk) => {
      text += chunk;
      const found = /127\.0\.0\.1:\d+|unix:[^"\s,]+/.exec(text);
      if (found) resolve(found[0]);
    });
  });
  return { pid: child.pid ?? 0, address, stop: () => child.kill("SIGTERM") };
}

/** @param {string} address Of the server. @param {number} messages @param {number} upstreamPort */
async function startFront(address, messages, upstreamPort) {
  const extProcPort = address.startsWith("unix:") ? 1 : Number(address.split(":")[1]);
  const bootstrap = structuredClone(envoyBootstrap({ extProcPort, upstreamPort, filter: filterFor(messages) }));
  if (address.startsWith("unix:")) {
    const [cluster] = bootstrap.static_resources.clusters;
    cluster.type = "STATIC";
    cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address = { pipe: { path: address.slice(5) } };
  }
  bootstrap.node = { id: `front-${messages}-${address}`, cluster: "bench" };
  const before = new Set(envoys());
  const envoy = await startEnvoy({ binary, bootstrap });
  const pid = envoys().find((one) => !before.has(one)) ?? 0;
  return { pid, port: envoy.port, stop: () => envoy.stop() };
}

/** The Envoys that this process runs. */
function envoys() {
  const found = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1]?.split(" ")[1]);
      if (parent === process.pid && readFileSync(`/proc/${name}/cmdline`, "utf8").includes("bootstrap.json"))
        found.push(Number(name));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** @param {string} text What h2load printed. */
function meanUs(text) {
  const [, value, unit] = /^time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)/m.exec(text) ?? [];
  if (value === undefined || !/ 0 failed, 0 errored/.test(text)) throw new Error(text.slice(-400));
  return Number(value) * (unit === "us" ? 1 : unit === "ms" ? 1e3 : 1e6);
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/**
 * @typedef {{ readonly us: number, readonly envoyUs: number, readonly serverUs: number }} Measured
 *
 * @typedef {object} Front An Envoy and the server that it asks.
 * @property {string} way
 * @property {number} messages
 * @property {{ readonly pid: number }} server
 * @property {{ readonly pid: number, readonly port: number }} front
 * @property {Map<number, Measured[]>} measured By the number of clients.
 */

/** @param {Front} one @param {number} clients @returns {Promise<Measured>} */
async function measure({ front, server }, clients) {
  const requests = options.requests * (clients === 1 ? 1 : 4);
  const [envoyBefore, serverBefore] = [cpuSeconds(front.pid), cpuSeconds(server.pid)];
  const url = `http://127.0.0.1:${front.port}/`;
  const text = await run(["h2load", "--h1", "-c", String(clients), "-n", String(requests), url], { limitMs: 120_000 });
  const envoyUs = ((cpuSeconds(front.pid) - envoyBefore) * 1e6) / requests;
  return { us: meanUs(text), envoyUs, serverUs: ((cpuSeconds(server.pid) - serverBefore) * 1e6) / requests };
}

/** @param {Front} one @param {number} clients @param {keyof Measured} key */
function medianOf({ measured }, clients, key) {
  return median((measured.get(clients) ?? []).map((value) => value[key]));
}

/** @param {readonly Front[]} fronts The first of them has no ext_proc filter. */
function table(fronts) {
  const lines = ["| clients | messages | way | mean µs | added µs | Envoy CPU µs | of it added | ext-proc CPU µs |"];
  lines.push("| ---: | ---: | :--- | ---: | ---: | ---: | ---: | ---: |");
  const [base] = fronts;
  if (base === undefined) return "";
  for (const clients of CLIENTS) {
    for (const one of fronts) {
      const [us, envoyUs] = [medianOf(one, clients, "us"), medianOf(one, clients, "envoyUs")];
      const cells = [us, us - medianOf(base, clients, "us"), envoyUs, envoyUs - medianOf(base, clients, "envoyUs")];
      cells.push(one.messages === 0 ? 0 : medianOf(one, clients, "serverUs"));
      const way = one.messages === 0 ? "none" : one.way;
      lines.push(`| ${clients} | ${one.messages} | ${way} | ${cells.map((cell) => cell.toFixed(0)).join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const options = readOptions();
if (options.help || !(options.rounds > 0 && options.requests > 0)) {
  (options.help ? process.stdout : process.stderr).write(USAGE);
  process.exit(options.help ? 0 : 2);
}
const binary = await findBinary();
const folder = mkdtempSync(join(tmpdir(), "ext-proc-latency-"));
/** @type {(() => unknown)[]} */
const stops = [];
try {
  const upstream = await startEnvoy({ binary, bootstrap: UPSTREAM });
  stops.push(() => upstream.stop());
  /** @type {Front[]} */
  const fronts = [];
  const ways = { TCP: "127.0.0.1:0", "Unix socket": `unix:${join(folder, "s.sock")}` };
  for (const [way, listen] of Object.entries(ways)) {
    const server = await startServer(listen);
    stops.push(() => server.stop());
    for (const messages of MESSAGES) {
      if (messages === 0 && way !== "TCP") continue;
      const front = await startFront(server.address, messages, upstream.port);
      stops.push(() => front.stop());
      fronts.push({ way, messages, server, front, measured: new Map(CLIENTS.map((count) => [count, []])) });
    }
  }
  for (const one of fronts) for (const clients of [8, 8]) await measure(one, clients);
  for (let round = 0; round < options.rounds; round++)
    for (const one of round % 2 === 0 ? fronts : [...fronts].reverse())
      for (const clients of CLIENTS) one.measured.get(clients)?.push(await measure(one, clients));
  process.stdout.write(table(fronts));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  for (const stop of stops.reverse()) await stop();
  rmSync(folder, { recursive: true, force: true });
}

/** @returns {{ readonly help: boolean, readonly rounds: number, readonly requests: number }} NaN for a value that is not a number. */
function readOptions() {
  try {
    const known = /** @type {const} */ ({
      rounds: { type: "string", default: "3" },
      requests: { type: "string", default: "4000" },
      help: { type: "boolean", short: "h", default: false },
    });
    const { help, rounds, requests } = parseArgs({ options: known }).values;
    return { help, rounds: Number(rounds), requests: Number(requests) };
  } catch {
    return { help: false, rounds: Number.NaN, requests: Number.NaN };
  }
}

async function findBinary() {
  const found = await ensureEnvoy();
  if ("problem" in found) throw new Error(found.problem);
  return found.path;
}
