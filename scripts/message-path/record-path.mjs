// Through which files of `src` a message goes, in their order, as a run of the built code shows it.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { instrumentFolder } from "./instrument.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * @param {readonly ("headers" | "body")[]} kinds `headers`: the request headers of a new transaction, for a handler that sets a
 * header. `body`: a chunk of a full-duplex body, for a handler that changes it.
 * @returns {string[][]} For each kind its files, such as "session/session.ts". A file is repeated if the message returns to it.
 * @throws {Error} If the code is not built, or does not answer.
 */
export function recordPaths(kinds) {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-message-path-"));
  try {
    instrumentFolder(join(root, "dist"), join(folder, "dist"));
    for (const name of ["gen", "node_modules"]) symlinkSync(join(root, name), join(folder, name));
    copyFileSync(join(root, "package.json"), join(folder, "package.json"));
    return kinds.map((kind) => recordPath(join(folder, "dist"), kind));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param {string} folder
 * @param {"headers" | "body"} kind
 * @returns {string[]}
 */
function recordPath(folder, kind) {
  const script = fileURLToPath(new URL("record.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, folder, kind], {
    encoding: "utf8",
    timeout: 30_000,
  });
  if (status !== 0) throw new Error(`${kind}: no path was recorded: ${stderr}`);
  /** @type {string[]} */
  const files = JSON.parse(stdout);
  return files.map((file) => file.replace(/\.js$/, ".ts"));
}
