// `npm run fuzz [-- --minutes N]` runs each fuzz test for N minutes, 10 by default, with seeds that no run had before.
// A failure names its seed: `FUZZ_SEED=SEED npx vitest run FILE` repeats it. Exit code 0: nothing was
// found; 1: something was; 2: wrong usage.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const DEFAULT_MINUTES = "10";
const FILES = [
  "test/http2/fuzz.test.ts",
  "test/grpc/fuzz.test.ts",
  "test/property/on-demand.test.ts",
  "test/property/answer-bytes.test.ts",
];

/** @returns {number} The minutes asked for; NaN where they are none. */
function minutes() {
  try {
    const { values } = parseArgs({ options: { minutes: { type: "string", default: DEFAULT_MINUTES } } });
    return Number(values.minutes);
  } catch {
    return Number.NaN;
  }
}

const length = minutes();
if (!(length > 0 && length <= 24 * 60)) {
  process.stderr.write(`usage: npm run fuzz [-- --minutes N], N up to 1440; default: ${DEFAULT_MINUTES}\n`);
  process.exitCode = 2;
} else {
  const seed = process.env.FUZZ_SEED ?? String(Math.floor(Date.now() / 1000));
  process.stdout.write(`fuzzing for ${length} minutes from FUZZ_SEED=${seed} on\n`);
  const { status } = spawnSync(process.execPath, [vitest, "run", ...FILES], {
    cwd: root,
    env: { ...process.env, FUZZ_MINUTES: String(length), FUZZ_SEED: seed },
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.exitCode = status === 0 ? 0 : 1;
}
