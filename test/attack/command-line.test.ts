import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ATTACKS } from "../../scripts/attack/attacks.mjs";

const script = fileURLToPath(new URL("../../scripts/attack.mjs", import.meta.url));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("--help names every flag, and has examples that the command line accepts", () => {
  const { status, stdout, stderr } = run("--help");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const flag of ["--minutes", "--only", "--json", "--list", "--help"]) expect(stdout).toContain(`  ${flag}`);
  const examples = [...stdout.matchAll(/^ {2}npm run attack -- (.+)$/gm)].map(([, args = ""]) => args.split(" "));
  expect(examples.length).toBeGreaterThan(2);
  for (const args of examples) expect(run(...args, "--help").status).toBe(0);
});

test("--list has one line for each attack", () => {
  const { status, stdout } = run("--list");
  expect(status).toBe(0);
  const names = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ")[0]);
  expect(names).toEqual(ATTACKS.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
});

test.each([
  [["--minutes", "0"], "--minutes 0: expected a number above 0"],
  [["--minutes", "five"], "--minutes five: expected a number above 0"],
  [["--only", "no-such"], "--only no-such: there is no such attack; --list shows the names"],
  [["--fast"], "Unknown option '--fast'"],
])("%j is wrong usage, and the message says what is wrong", (args, message) => {
  const { status, stdout, stderr } = run(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toContain(message);
  expect(stderr).toContain("Usage:");
});

test("every fault from 1 to 13 that an attacker can cause has an attack", () => {
  const faults = new Set(ATTACKS.map(({ fault }) => fault));
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].filter((fault) => !faults.has(fault))).toEqual([]);
});

/** The processes that a process has started and that still run. */
function childrenOf(pid: number): number[] {
  const tasks = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  return tasks.flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

test.runIf(process.platform === "linux")(
  "the processes that the attack suite started end when the suite gets a signal to end",
  async () => {
    const suite = spawn(process.execPath, [script, "--only", "ping-flood"], { stdio: "ignore" });
    // The server and the honest client.
    await expect.poll(() => childrenOf(suite.pid ?? -1).length, { timeout: 20_000 }).toBeGreaterThan(1);
    const started = childrenOf(suite.pid ?? -1);
    const exit = once(suite, "exit");
    suite.kill("SIGTERM");
    expect(await exit).toEqual([1, null]);
    await expect.poll(() => started.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 10_000 }).toEqual([]);
  },
  40_000,
);
