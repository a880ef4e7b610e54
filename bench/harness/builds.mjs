// Builds the peers into the user's cache, once for each state of their sources.
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join, relative } from "node:path";
import { cacheFolder, peerFolder } from "./peers.mjs";
import { run } from "./processes.mjs";

/** @typedef {import("./peers.mjs").Build} Build */

const LIMIT_MS = 30 * 60_000;

/**
 * Builds what has changed since it was last built.
 *
 * @param {{ readonly name: string, readonly folder?: string, readonly build: Build }} project
 * @param {(line: string) => void} tell
 * @returns {Promise<string | undefined>} Why there is nothing to run, in one line; undefined: it is built.
 */
export async function buildProject({ name, folder = peerFolder(name), build }, tell) {
  const tool = findProgram(build.tool);
  if (tool === undefined) return `${build.tool} is missing: ${build.hint}`;
  if (build.steps.length === 0) return undefined;
  const stampFile = join(cacheFolder, `${name}.stamp`);
  const stamp = fingerprint([folder, ...(build.sources ?? [])], `${tool} ${statSync(tool).mtimeMs}`);
  if (!build.always && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return undefined;
  tell(`building ${name} with ${build.tool}; the first time takes a while`);
  mkdirSync(cacheFolder, { recursive: true });
  try {
    for (const { command, args } of build.steps) await run([command, ...args], { cwd: folder, limitMs: LIMIT_MS });
  } catch (error) {
    return `does not build: ${/** @type {Error} */ (error).message}`;
  }
  writeFileSync(stampFile, stamp);
  return undefined;
}

/**
 * A program's path: as it is, or from the PATH.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = name.includes("/") ? [name] : folders.map((folder) => join(folder, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

/**
 * @param {readonly string[]} folders
 * @param {string} salt
 */
function fingerprint(folders, salt) {
  const hash = createHash("sha256").update(salt);
  for (const folder of folders) {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
    for (const path of paths) hash.update(relative(folder, path)).update(readFileSync(path));
  }
  return hash.digest("hex");
}
