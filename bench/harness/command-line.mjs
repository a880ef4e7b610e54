// The bench's flags.
import { parseArgs } from "node:util";
import { PEERS } from "./peers.mjs";

/**
 * @typedef {object} BenchOptions
 * @property {boolean} quick Fewer peers, scenarios and rounds: under two minutes.
 * @property {readonly string[]} peers Names, in the order of the table of peers.
 * @property {readonly string[]} scenarios Names, in the order of the table of scenarios.
 * @property {number} rounds How often each peer is measured in each scenario.
 * @property {number} seconds Length of one measurement.
 * @property {string | undefined} json File for the results; undefined: one in bench/results.
 * @property {string | undefined} chart File for the SVG chart.
 * @property {boolean} docs Whether docs/performance.md and its chart are rewritten.
 */

/** Wrong usage: one line for the person who typed it. */
export class UsageError extends Error {}

const QUICK_PEERS = ["ext-proc", "grpc-go", "tonic", "transport", "node-http2"];
const FLAGS = /** @type {const} */ ({
  help: { type: "boolean", short: "h" },
  quick: { type: "boolean" },
  all: { type: "boolean" },
  peers: { type: "string" },
  scenarios: { type: "string" },
  rounds: { type: "string" },
  seconds: { type: "string" },
  json: { type: "string" },
  chart: { type: "string" },
  docs: { type: "boolean" },
});

/**
 * @param {readonly string[]} args
 * @param {readonly import("../scenarios/scenarios.mjs").Scenario[]} scenarios
 * @returns {BenchOptions | "help"}
 * @throws {UsageError}
 */
export function readCommandLine(args, scenarios) {
  const values = parse(args);
  if (values.help) return "help";
  const quick = values.quick ?? false;
  const usualPeers = PEERS.filter(({ name, slow }) => (quick ? QUICK_PEERS.includes(name) : values.all || !slow));
  const usualScenarios = scenarios.filter((scenario) => !quick || scenario.quick);
  return {
    quick,
    peers: namesOf("--peers", values.peers, PEERS) ?? usualPeers.map(({ name }) => name),
    scenarios: namesOf("--scenarios", values.scenarios, scenarios) ?? usualScenarios.map(({ name }) => name),
    rounds: wholeNumber("--rounds", values.rounds, 100) ?? (quick ? 2 : 5),
    seconds: wholeNumber("--seconds", values.seconds, 60) ?? (quick ? 1 : 3),
    json: values.json,
    chart: values.chart,
    docs: values.docs ?? false,
  };
}

/** @param {readonly string[]} args */
function parse(args) {
  try {
    return parseArgs({ args: [...args], options: FLAGS }).values;
  } catch (error) {
    const [line] = /** @type {Error} */ (error).message.split("\n");
    throw new UsageError(`${line} Known flags: ${Object.keys(FLAGS).map((flag) => `--${flag}`)}`.replaceAll(",", ", "));
  }
}

/**
 * @param {string} flag
 * @param {string | undefined} text
 * @param {readonly { readonly name: string }[]} known
 */
function namesOf(flag, text, known) {
  if (text === undefined) return undefined;
  const wanted = text.split(",");
  const names = known.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new UsageError(`${flag}: ${JSON.stringify(unknown)} is none of ${names.join(", ")}`);
  return names.filter((name) => wanted.includes(name));
}

/**
 * @param {string} flag
 * @param {string | undefined} text
 * @param {number} most
 */
function wholeNumber(flag, text, most) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UsageError(`${flag}: ${JSON.stringify(text)} is not a whole number from 1 to ${most}`);
}

/**
 * @param {readonly import("../scenarios/scenarios.mjs").Scenario[]} scenarios
 * @returns {string}
 */
export function helpText(scenarios) {
  const width = Math.max(...[...PEERS, ...scenarios].map(({ name }) => name.length)) + 2;
  return [
    "Usage: npm run bench -- [flags]",
    "",
    "Builds ext-proc and other ext_proc servers, checks that they answer alike, and measures them in turns.",
    "",
    "  --quick           two rounds of one second with four peers: under two minutes once everything is built",
    "  --all             the slow peers too",
    "  --peers A,B       only these peers",
    "  --scenarios A,B   only these scenarios",
    "  --rounds N        measurements of each peer in each scenario; default 5, quick 2",
    "  --seconds N       length of each; default 3, quick 1",
    "  --json FILE       where the results go; default bench/results/<date>.json",
    "  --chart FILE      draws an SVG chart",
    "  --docs            rewrites the tables and the chart of docs/performance.md",
    "  -h, --help",
    "",
    "Peers (* only with --all or by name):",
    ...PEERS.map(({ name, slow, what }) => `  ${name.padEnd(width)}${what}${slow ? " *" : ""}`),
    "",
    "Scenarios (* not with --quick):",
    ...scenarios.map(({ name, quick, title }) => `  ${name.padEnd(width)}${title}${quick ? "" : " *"}`),
    "",
    "What a scenario or a peer needs and this machine lacks is named, and the rest goes on.",
    "Exit codes: 0 measured, 1 a peer was wrong or could not be measured, 2 wrong usage.",
  ].join("\n");
}
