import { execFileSync } from "node:child_process";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";

const VERSIONS: readonly EnvoyVersion[] = ["1.36", "1.38", "1.39", "1.40"];

/** The release line of an Envoy binary. Throws where the simulator knows none of its kind. */
export function envoyRelease(binary: string): EnvoyVersion {
  const text = execFileSync(binary, ["--version"], { encoding: "utf8" });
  const line = /\/(\d+\.\d+)\.\d+/.exec(text)?.[1];
  const version = VERSIONS.find((candidate) => candidate === line);
  if (version === undefined)
    throw new Error(`${binary} is Envoy ${line ?? "unknown"}; known are ${VERSIONS.join(", ")}`);
  return version;
}
