import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readCommandLine, UsageError } from "../../bench/harness/command-line.mjs";
import { PEERS } from "../../bench/harness/peers.mjs";
import { SCENARIOS } from "../../bench/scenarios/scenarios.mjs";

const program = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));
const read = (...args: string[]) => readCommandLine(args, SCENARIOS);

describe("the bench's command line", () => {
  test("bench --help prints every peer and scenario, and measures nothing", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--help"], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const { name } of [...PEERS, ...SCENARIOS]) expect(stdout).toContain(`  ${name} `);
  });

  test("wrong usage of bench ends with exit code 2 and one line", () => {
    const { status, stderr } = spawnSync(process.execPath, [program, "--rounds", "many"], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toBe('bench: --rounds: "many" is not a whole number from 1 to 100\n');
  });

  test("bench leaves out slow peers unless they are named", () => {
    expect(read()).toMatchObject({ rounds: 5, seconds: 3, peers: expect.not.arrayContaining(["grpc-java"]) });
    expect(read("--all")).toMatchObject({ peers: PEERS.map(({ name }) => name) });
    expect(read("--peers", "grpc-java,ext-proc")).toMatchObject({ peers: ["ext-proc", "grpc-java"] });
  });

  test("bench --quick takes fewer peers, scenarios and rounds", () => {
    expect(read("--quick")).toMatchObject({
      peers: ["ext-proc", "grpc-go", "tonic", "transport", "node-http2"],
      rounds: 2,
      seconds: 1,
      scenarios: expect.not.arrayContaining(["headers-5"]),
    });
  });

  test.each([
    [["--peers", "rust"], '--peers: "rust" is none of ext-proc, '],
    [["--scenarios", ""], '--scenarios: "" is none of headers-50, '],
    [["--seconds", "61"], '--seconds: "61" is not a whole number from 1 to 60'],
    [["--fast"], "Unknown option '--fast'"],
  ])("bench rejects the arguments %j", (args, problem) => {
    expect(() => read(...args)).toThrow(UsageError);
    expect(() => read(...args)).toThrow(problem);
  });
});
