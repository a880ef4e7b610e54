import { execFileSync } from "node:child_process";
import { envoyBinary } from "../envoy-rig.ts";

/**
 * The release behind these tests, such as `1.40.0`, known before Envoy runs because its configuration depends on it;
 * empty if there is no Envoy.
 */
export const envoyVersion = envoyBinary === undefined ? "" : readVersion(envoyBinary);

/** Whether the release is this one or later; `since` is major and minor, such as `1.37`. */
export function isSince(since: string): boolean {
  const [major = 0, minor = 0] = numbersOf(envoyVersion);
  const [sinceMajor = 0, sinceMinor = 0] = numbersOf(since);
  return major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
}

function readVersion(binary: string): string {
  // It reads: envoy  version: revision/1.40.0/Clean/RELEASE/BoringSSL
  const printed = execFileSync(binary, ["--version"], { encoding: "utf8" });
  return printed.split("/")[printed.split("/").length - 4] ?? "";
}

function numbersOf(version: string): number[] {
  return version.split(".").map(Number);
}
