// `npm run fuzz [-- --minutes N]` runs each fuzz test for N minutes, 10 by default, with seeds that no run had before.
// `npm run fuzz -- --inputs N` gives N inputs to the message reader and to the answer encoder, however long it takes.
// A failure names its seed: `FUZZ_SEED=SEED npx vitest run FILE` repeats it. Exit code 0: nothing was
// found; 1: something was; 2: wrong usage.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const DEFAULT_MINUTES = "10";
const EQUALITY = ["test/property/on-demand.test.ts", "test/property/answer-bytes.test.ts"];
const FILES = ["test/http2/fuzz.test.ts", "test/grpc/fuzz.test.ts", ...EQUALITY];

/** @returns {{ readonly minutes: number, readonly inputs: number }} The requested values; NaN if one is not a number. */
function wanted() {
  try {
    const options = /** @type {const} */ ({
      minutes: { type: "string", default: DEFAULT_MINUTES },
      inputs: { type: "string" },
    });
    const { minutes, inputs = "0" } = parseArgs({ options }).values;
    return { minutes: Number(minutes), inputs: Number(inputs) };
  } catch {
    return { minutes: Number.NaN, inputs: Number.NaN };
  }
}

const { minutes, inputs } = wanted();
if (!(minutes > 0 && minutes <= 24 * 60 && Number.isSafeInteger(inputs) && inputs >= 0)) {
  process.stderr.write(
    `usage: npm run fuzz [-- --minutes N | --inputs N], at most 1440 minutes; default: ${DEFAULT_MINUTES} minutes\n`,
  );
  process.exitCode = 2;
} else {
  const seed = process.env.FUZZ_SEED ?? String(Math.floor(Date.now() / 1000));
  const bound = inputs > 0 ? { FUZZ_INPUTS: String(inputs) } : { FUZZ_MINUTES: String(minutes) };
  const extent = inputs > 0 ? `with ${inputs} inputs each` : `for ${minutes} minutes`;
  process.stdout.write(`fuzzing ${extent} from FUZZ_SEED=${seed} on\n`);
  const { status } = spawnSync(process.execPath, [vitest, "run", ...(inputs > 0 ? EQUALITY : FILES)], {
    cwd: root,
    env: { ...process.env, ...bound, FUZZ_SEED: seed },
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.exitCode = status === 0 ? 0 : 1;
}
