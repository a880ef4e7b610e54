// `npm run attack -- --help` says what it does.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ATTACKS } from "./attack/attacks.mjs";
import { playAttack } from "./attack/play.mjs";
import { asJson, attackLines, table } from "./attack/report.mjs";
import { findings } from "./attack/verdict.mjs";

const DEFAULT_SECONDS = 30;

const USAGE = `Usage: npm run attack [-- --minutes N] [--only NAME]… [--json FILE]
       npm run attack -- --list

Attacks the server as it was built, with default settings, in every way that is known to have hurt it or another server. Each
attack has its own server, and honest traffic of ${500} requests a second at the same time: through a real Envoy for attacks by
clients, on connections like Envoy's for the others. The server runs in a memory cgroup of 512 MiB if this machine can make
one. All of it stays on loopback.

For each attack the report says whether the server survived, whether its answers had the right codes, whether a metric counted
the attack, whether an honest request failed, how slow the honest requests were in the calm and during the attack, and how
much memory the server had before, at most, and 10 s afterwards.

  --minutes N   time of all attacks together; each gets an equal share. Default: ${DEFAULT_SECONDS} s for each attack
  --only NAME   runs this attack; may be given several times
  --json FILE   writes every figure to FILE
  --list        lists the attacks
  --help        shows this text

Exit code 0: every attack was withstood; 1: not so; 2: wrong usage.

Examples:
  npm run attack -- --minutes 5
  npm run attack -- --only rapid-reset --only ping-flood --minutes 1
  npm run attack -- --json attack.json
`;

// What was started ends with this process.
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.once(signal, () => process.exit(1));

const options = readOptions();
if (typeof options === "string") {
  process.stderr.write(`attack: ${options}\n\n${USAGE}`);
  process.exitCode = 2;
} else if (options.help) {
  say(USAGE);
} else if (options.list) {
  for (const { name, fault, what } of ATTACKS) say(`${name.padEnd(24)} ${what}${fault ? ` (fault ${fault})` : ""}`);
} else {
  process.exitCode = await runSuite(options);
}

/**
 * @typedef {object} Options
 * @property {boolean} help
 * @property {boolean} list
 * @property {number | undefined} minutes
 * @property {readonly import("./attack/attacks.mjs").Attack[]} attacks
 * @property {string | undefined} json
 */

/** @returns {Options | string} What is wrong with the command line, if anything is. */
function readOptions() {
  const text = { type: /** @type {const} */ ("string") };
  const flag = { type: /** @type {const} */ ("boolean"), default: false };
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        minutes: text,
        only: { ...text, multiple: true },
        json: text,
        list: flag,
        help: { ...flag, short: "h" },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { help = false, list = false, json, only } = values;
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  if (minutes !== undefined && !(minutes > 0 && minutes <= 600)) {
    return `--minutes ${values.minutes}: expected a number above 0, at most 600. Example: --minutes 5`;
  }
  const unknown = only?.filter((name) => !ATTACKS.some((attack) => attack.name === name)) ?? [];
  if (unknown.length > 0) return `--only ${unknown[0]}: there is no such attack; --list shows the names`;
  const attacks = only === undefined ? ATTACKS : ATTACKS.filter(({ name }) => only.includes(name));
  return { help, list, json, minutes, attacks };
}

/**
 * @param {Options} options
 * @returns {Promise<number>} The exit code.
 */
async function runSuite({ attacks, minutes, json }) {
  if (!existsSync(new URL("../dist/cli/main.js", import.meta.url))) {
    process.stderr.write("attack: there is no dist/cli/main.js; run: npm run build\n");
    return 2;
  }
  const seconds = minutes === undefined ? DEFAULT_SECONDS : Math.max(1, (minutes * 60) / attacks.length);
  const envoy = attacks.some(({ from }) => from === "client") ? envoyPath() : undefined;
  say(`Node ${process.version}, ${attacks.length} attacks of ${seconds.toFixed(1)} s`);
  const suite = [];
  const failed = [];
  for (const attack of attacks) {
    try {
      const played = await playAttack(attack, {
        seconds,
        envoy,
        onStep: (step) => progress(`${attack.name}: ${step}`),
      });
      progress("");
      suite.push(played);
      for (const line of attackLines(played)) say(line);
    } catch (error) {
      progress("");
      failed.push(attack.name);
      say(`FAILED ${attack.name.padEnd(24)} could not run: ${error instanceof Error ? error.message : error}`);
    }
  }
  say("");
  for (const line of table(suite)) say(line);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(asJson(suite, seconds), undefined, 2)}\n`);
  const withstood = suite.filter((played) => findings(played).every(({ good }) => good)).length;
  say(`\n${withstood} of ${attacks.length} attacks were withstood`);
  return withstood === attacks.length ? 0 : 1;
}

/** Fetches Envoy if it is not there. */
function envoyPath() {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const { ENVOY_BIN: named } = process.env;
  if (named) return named;
  return execFileSync(process.execPath, [main, "envoy-install"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
}

/** @param {string} step What goes on, on a terminal; an empty text takes it away. */
function progress(step) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${step}`);
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`${line}\n`);
}
