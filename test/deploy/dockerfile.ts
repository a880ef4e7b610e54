import { execFile } from "node:child_process";
import { cp, mkdir, stat } from "node:fs/promises";
import { basename, isAbsolute, join, relative } from "node:path";
import { promisify } from "node:util";

/** One stage of a Dockerfile: what stands between a `FROM` and the next. */
export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly { readonly keyword: string; readonly argument: string }[];
}

/** A stage that was replayed: its file system lies below `root`, and this is how its container would start. */
export interface ReplayedStage {
  readonly root: string;
  readonly workdir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
}

/** Takes a Dockerfile apart. Of the syntax it knows comments, continued lines and stages, which is what ours has. */
export function parseDockerfile(text: string): Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n/g, " ")
    .split("\n");
  const stages: { image: string; name: string | undefined; instructions: { keyword: string; argument: string }[] }[] =
    [];
  for (const line of lines.map((each) => each.trim()).filter((each) => each !== "")) {
    const [, keyword = "", argument = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    const [image = "", , name] = argument.split(/\s+/);
    if (keyword === "FROM") stages.push({ image, name, instructions: [] });
    else stages.at(-1)?.instructions.push({ keyword, argument });
  }
  return stages;
}

/** Whether `path` is left out of the build context; the last line of a .dockerignore that matches it or a folder above it decides. */
export function isIgnored(path: string, dockerignore: string): boolean {
  const lines = dockerignore.split("\n").map((line) => line.trim());
  let ignored = false;
  for (const line of lines.filter((each) => each !== "" && !each.startsWith("#"))) {
    const pattern = line.replace(/^!/, "");
    if (/[*?[]/.test(pattern) && pattern !== "*") throw new Error(`.dockerignore: ${line}: not known to this test`);
    if (pattern === "*" || path === pattern || path.startsWith(`${pattern}/`)) ignored = !line.startsWith("!");
  }
  return ignored;
}

/**
 * Does what `docker build` would, without Docker: each stage gets its own folder for `/`, and its RUN
 * instructions run on this machine, in their WORKDIR. Gives the last stage.
 */
export async function replay(
  stages: readonly Stage[],
  contextFolder: string,
  folder: string,
  /** Images that were built before, by the names that FROM has for them. */
  images: Readonly<Record<string, ReplayedStage>> = {},
): Promise<ReplayedStage> {
  const replayed = new Map<string, ReplayedStage>();
  let last: ReplayedStage | undefined;
  for (const [index, stage] of stages.entries()) {
    const root = join(folder, `stage-${index}`);
    await mkdir(root);
    const base = images[stage.image];
    if (base) await cp(base.root, root, { recursive: true, verbatimSymlinks: true });
    last = base
      ? { ...base, root, workdir: join(root, relative(base.root, base.workdir)) }
      : { root, workdir: root, environment: {}, user: undefined, entrypoint: [], cmd: [] };
    for (const instruction of stage.instructions)
      last = await perform(instruction, { stage: last, replayed, contextFolder });
    if (stage.name !== undefined) replayed.set(stage.name, last);
  }
  if (last === undefined) throw new Error("a Dockerfile without FROM");
  return last;
}

interface Surroundings {
  readonly stage: ReplayedStage;
  readonly replayed: ReadonlyMap<string, ReplayedStage>;
  readonly contextFolder: string;
}

async function perform(
  { keyword, argument }: { readonly keyword: string; readonly argument: string },
  { stage, replayed, contextFolder }: Surroundings,
): Promise<ReplayedStage> {
  switch (keyword) {
    case "WORKDIR": {
      const workdir = join(stage.root, argument);
      await mkdir(workdir, { recursive: true });
      return { ...stage, workdir };
    }
    case "ENV": {
      const pairs = argument.split(/\s+/).map((pair) => pair.split("=") as [string, string]);
      return { ...stage, environment: { ...stage.environment, ...Object.fromEntries(pairs) } };
    }
    case "COPY": {
      const [, from, paths = argument] = /^--from=(\S+)\s+(.*)$/.exec(argument) ?? [];
      const source = from === undefined ? contextFolder : replayed.get(from)?.root;
      if (source === undefined) throw new Error(`COPY --from=${from}: no such stage`);
      await copy(source, paths.split(/\s+/), stage);
      return stage;
    }
    case "RUN":
      await run(argument, stage);
      return stage;
    case "USER":
      return { ...stage, user: argument };
    case "ENTRYPOINT":
      return { ...stage, entrypoint: JSON.parse(argument) };
    case "CMD":
      return { ...stage, cmd: JSON.parse(argument) };
    case "EXPOSE":
      return stage;
    default:
      throw new Error(`Dockerfile: ${keyword}: not known to this test`);
  }
}

/** Like COPY: a folder gives its content, a file goes into a target that ends in a slash. */
async function copy(source: string, paths: readonly string[], stage: ReplayedStage): Promise<void> {
  const target = paths.at(-1) ?? "";
  const targetPath = isAbsolute(target) ? join(stage.root, target) : join(stage.workdir, target);
  for (const path of paths.slice(0, -1)) {
    const from = join(source, path);
    const isFolder = (await stat(from)).isDirectory();
    const to = isFolder || !target.endsWith("/") ? targetPath : join(targetPath, basename(path));
    await cp(from, to, { recursive: true, verbatimSymlinks: true });
  }
}

async function run(command: string, stage: ReplayedStage): Promise<void> {
  // npm's cache makes this quick; NODE_ENV is the test runner's own and would reach the programs that are started.
  const { NODE_ENV: _, ...machine } = process.env;
  const env = { ...machine, npm_config_prefer_offline: "true", ...stage.environment };
  try {
    await promisify(execFile)("/bin/sh", ["-c", command], { cwd: stage.workdir, env, maxBuffer: 16 * 1024 * 1024 });
  } catch (cause) {
    const { stdout, stderr } = cause as { stdout: string; stderr: string };
    throw new Error(`RUN ${command} failed:\n${stdout}\n${stderr}`, { cause });
  }
}
