import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    globalSetup: ["test/global-setup.ts"],
    // Two cores: a third worker only makes the others late.
    maxWorkers: 2,
    testTimeout: 15_000,
    hookTimeout: 60_000,
    typecheck: { enabled: true, include: ["test/**/*.types.ts"], tsconfig: "tsconfig.check.json" },
  },
});
