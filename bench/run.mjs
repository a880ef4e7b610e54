// `npm run bench`: see --help, and docs/performance.md for how to read what it prints.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { helpText, readCommandLine, UsageError } from "./harness/command-line.mjs";
import { grpcBody, headerMessages, uploadMessages } from "./harness/messages.mjs";
import { PEERS, root } from "./harness/peers.mjs";
import { preparePeers, prepareTools } from "./harness/preparation.mjs";
import { endAllOnExit } from "./harness/processes.mjs";
import { measureInTurns } from "./harness/rounds.mjs";
import { drawChart } from "./report/chart.mjs";
import { writeDocs } from "./report/docs-page.mjs";
import { describeRun, summarizeScenario } from "./report/results.mjs";
import { textTable } from "./report/tables.mjs";
import { SCENARIOS } from "./scenarios/scenarios.mjs";

/**
 * @typedef {import("./harness/command-line.mjs").BenchOptions} BenchOptions
 * @typedef {import("./report/results.mjs").Results} Results
 * @typedef {import("./scenarios/scenarios.mjs").Context} Context
 * @typedef {import("./scenarios/scenarios.mjs").Scenario} Scenario
 */

/** Long enough for runtimes that compile what has run often. */
const WARM_UP_SECONDS = 5;

const tell = (/** @type {string} */ line) => void process.stderr.write(`bench: ${line}\n`);

/**
 * @param {BenchOptions} options
 * @returns {Promise<Results>}
 */
async function bench(options) {
  const scenarios = SCENARIOS.filter(({ name }) => options.scenarios.includes(name));
  const wanted = PEERS.filter(({ name }) => options.peers.includes(name));
  const tasks = [...new Set(scenarios.map(({ task }) => task))];
  const results = describeRun(options);
  const prepared = await preparePeers(wanted, tasks, tell);
  const tools = await prepareTools(new Set(scenarios.flatMap(({ needs }) => needs)), tell);
  results.notes.push(...prepared.problems, ...tools.problems);
  results.versions = Object.fromEntries(prepared.peers.map(({ name, version }) => [name, version()]));
  const { seconds, rounds, quick } = options;
  const warmUpSeconds = quick ? seconds : WARM_UP_SECONDS;
  const { envoyBinary } = tools;
  const context = { seconds, warmUpSeconds, ...writeRequests(), envoyBinary, answerSizes: prepared.answerSizes };
  for (const scenario of scenarios) {
    const missing = scenario.needs.find((need) => !tools.available.has(need));
    if (missing !== undefined) {
      results.notes.push(`${scenario.name}: skipped, because ${missing} is missing`);
      continue;
    }
    const peers = prepared.peers.filter(
      ({ tasks: known, only }) => known.includes(scenario.task) && (only?.includes(scenario.name) ?? true),
    );
    const measurements = await measureScenario(scenario, peers, { context, rounds, results });
    const summary = summarizeScenario(scenario, measurements);
    results.scenarios.push(summary);
    process.stdout.write(`\n${textTable(summary)}\n`);
  }
  return results;
}

/** Writes the bodies of the requests to files that are there while this process is. */
function writeRequests() {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const files = { headersFile: join(folder, "headers"), uploadFile: join(folder, "upload") };
  writeFileSync(files.headersFile, grpcBody(headerMessages()));
  writeFileSync(files.uploadFile, grpcBody(uploadMessages()));
  return files;
}

/**
 * @param {Scenario} scenario
 * @param {readonly import("./harness/peers.mjs").Peer[]} peers
 * @param {{ readonly context: Context, readonly rounds: number, readonly results: Results }} run
 */
async function measureScenario(scenario, peers, { context, rounds, results }) {
  const shared = await scenario.prepare?.(context);
  /** @type {Map<string, import("./harness/rounds.mjs").Subject>} */
  const subjects = new Map();
  const note = (/** @type {string} */ peer, /** @type {Error} */ { message }) => {
    results.notes.push(`${scenario.name}: ${peer} left out: ${message}`);
    tell(results.notes.at(-1) ?? "");
    process.exitCode = 1;
  };
  try {
    for (const peer of peers) {
      tell(`${scenario.name}: warming up ${peer.name}`);
      try {
        const subject = await scenario.open(peer, context, shared?.port ?? 0);
        subjects.set(peer.name, subject);
        await subject.warmUp?.();
      } catch (error) {
        await subjects.get(peer.name)?.close();
        subjects.delete(peer.name);
        note(peer.name, /** @type {Error} */ (error));
      }
    }
    tell(`${scenario.name}: measuring ${rounds} rounds`);
    return await measureInTurns(subjects, rounds, note);
  } finally {
    for (const subject of subjects.values()) await subject.close();
    await shared?.close();
  }
}

/**
 * @param {Results} results
 * @param {BenchOptions} options
 */
function report(results, options) {
  for (const note of results.notes) process.stdout.write(`note: ${note}\n`);
  const jsonFile = options.json ?? join(root, "bench", "results", `${results.date.replaceAll(":", "-")}.json`);
  mkdirSync(dirname(resolve(jsonFile)), { recursive: true });
  writeFileSync(jsonFile, `${JSON.stringify(results, null, 2)}\n`);
  tell(`wrote ${jsonFile}`);
  if (options.chart !== undefined) {
    writeFileSync(options.chart, drawChart(results));
    tell(`wrote ${options.chart}`);
  }
  if (options.docs) tell(`wrote ${writeDocs(results, root).join(" and ")}`);
}

try {
  const options = readCommandLine(process.argv.slice(2), SCENARIOS);
  if (options === "help") {
    process.stdout.write(`${helpText(SCENARIOS)}\n`);
  } else {
    endAllOnExit();
    report(await bench(options), options);
  }
} catch (error) {
  const { message, stack } = /** @type {Error} */ (error);
  const isUsage = error instanceof UsageError;
  process.stderr.write(`bench: ${isUsage ? message : stack}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
// What is still open is not worth waiting for: idle sockets of the checks, an Envoy that is being told to end.
process.exit();
