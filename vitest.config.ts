import { defineConfig } from "vitest/config";

const onNode20 = process.versions.node.startsWith("20.");

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    globalSetup: ["test/global-setup.ts"],
    // Two cores: a third worker only makes the others late.
    maxWorkers: 2,
    // Node 20's concurrent marker corrupts the heap of a vitest worker about once in twenty runs of
    // test/network (its core dump ends in ConcurrentMarking). Plain processes and Node 22 never did.
    execArgv: onNode20 ? ["--no-concurrent-marking"] : [],
    testTimeout: 15_000,
    hookTimeout: 60_000,
    typecheck: { enabled: true, include: ["test/**/*.types.ts"], tsconfig: "tsconfig.check.json" },
  },
});
