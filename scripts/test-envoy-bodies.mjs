// `npm run test:envoy-bodies [-- VERSION…]` sends bodies of every size, framing and client through every handler in every
// mode behind several releases of Envoy, by default the four that are supported, and says how far it is. The tests are
// those of test/envoy/bodies/body-matrix.test.ts, of which `npm test` has a sample. It needs dist/, which `npm run build`
// makes, and about ten minutes a release. Exit code 0: all passed; 1: some did not; 2: wrong usage.
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const RELEASES = ["1.36.4", "1.38.3", "1.39.3", "1.40.0"];

const root = fileURLToPath(new URL("..", import.meta.url));
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));

/** @param {string} release */
function testWith(release) {
  process.stdout.write(`\n=== Envoy ${release} ===\n`);
  const binary = execFileSync(process.execPath, [main, "envoy-install", release], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  const env = { ...process.env, CI: "true", ENVOY_BIN: binary, EXT_PROC_BODY_MATRIX: "full" };
  const test = "test/envoy/bodies/body-matrix.test.ts";
  return spawnSync(process.execPath, [vitest, "run", test], { cwd: root, env, stdio: "inherit" }).status === 0;
}

const releases = process.argv.slice(2);
if (releases.some((release) => !/^\d+\.\d+\.\d+$/.test(release))) {
  process.stderr.write(`usage: npm run test:envoy-bodies [-- VERSION…], such as ${RELEASES.join(" ")}, the default\n`);
  process.exitCode = 2;
} else {
  const outcomes = (releases.length > 0 ? releases : RELEASES).map((release) => ({
    release,
    passed: testWith(release),
  }));
  for (const { release, passed } of outcomes)
    process.stdout.write(`Envoy ${release}: bodies ${passed ? "passed" : "FAILED"}\n`);
  process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
}
