// Runs the Go program of this folder for protos-oracle.mjs and protos-diff.mjs.
import { spawnSync } from "node:child_process";

/** A reason for a person: Go is missing, the network is, or the program does not build. */
export class OracleFailure extends Error {}

/**
 * Runs `go` in a folder and returns what it printed; its progress goes to stderr.
 *
 * @param {string} folder
 * @param {readonly string[]} args
 * @returns {string}
 */
export function runGo(folder, args) {
  const { error, status, stdout } = spawnSync("go", args, {
    cwd: folder,
    // A go.work file above the checkout must not decide which versions are read.
    env: { ...process.env, GOWORK: "off" },
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (error && "code" in error && error.code === "ENOENT") {
    throw new OracleFailure("go is not on the PATH: install Go 1.26 or newer from https://go.dev/dl");
  }
  if (error) throw new OracleFailure(`go ${args.join(" ")}: ${error.message}`);
  if (status !== 0) throw new OracleFailure(`go ${args.join(" ")} failed, see above`);
  return stdout;
}

/**
 * Runs the Go program in a folder that holds it and its go.mod.
 *
 * @param {string} folder
 * @returns {import("../../test/protos/descriptor-table.mjs").UpstreamTable}
 */
export function readUpstream(folder) {
  return JSON.parse(runGo(folder, ["run", "-mod=readonly", "."]));
}
