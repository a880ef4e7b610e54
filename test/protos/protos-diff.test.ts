import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { UpstreamTable } from "./descriptor-table.mjs";

const script = fileURLToPath(new URL("../../scripts/protos-diff.mjs", import.meta.url));
const oracle = fileURLToPath(new URL("../../scripts/protos-oracle.mjs", import.meta.url));
const table = fileURLToPath(new URL("./upstream.json", import.meta.url));
const goMod = fileURLToPath(new URL("../../scripts/protos-oracle/go.mod", import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "protos-diff-test-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Puts a `go` first on the PATH that prints an upstream table and, as the real one does, rewrites go.mod on `get`. */
function installGo(upstream: UpstreamTable) {
  writeFileSync(join(folder, "table.json"), JSON.stringify(upstream));
  const commands = `get) echo "// $2" >> go.mod;; run) cat "${folder}/table.json";;`;
  writeFileSync(join(folder, "go"), `#!/bin/sh\ncase $1 in ${commands} esac\n`);
  chmodSync(join(folder, "go"), 0o755);
}

const { PATH: usualPath } = process.env;

function run(path: string, args: readonly string[], searchPath = `${folder}${delimiter}${usualPath}`) {
  const env = { ...process.env, PATH: searchPath };
  return spawnSync(process.execPath, [path, ...args], { encoding: "utf8", env });
}

function readTable(): UpstreamTable {
  return JSON.parse(readFileSync(table, "utf8"));
}

describe.skipIf(process.platform === "win32")("protos:diff", () => {
  test("protos:diff says that our protos lack nothing of the release that they follow, and exits with 0", () => {
    installGo(readTable());
    const { status, stdout, stderr } = run(script, []);
    expect(stdout).toMatch(/^nothing missing: our protos agree with \S+ v\d+\.\d+\.\d+\n$/);
    expect(stderr).toContain("@latest");
    expect(status).toBe(0);
  });

  test("protos:diff prints fields and types that a newer release adds, exits with 1 and leaves the checkout unchanged", () => {
    const newer = readTable();
    const file = newer.files["envoy/service/ext_proc/v3/external_processor.proto"];
    Object.assign(file?.messages["envoy.service.ext_proc.v3.HttpBody"]?.fields ?? {}, {
      checksum: { number: 6, label: "singular", type: "bytes", jsonName: "checksum" },
    });
    Object.assign(file?.messages ?? {}, { "envoy.service.ext_proc.v3.Checksum": { fields: {} } });
    installGo(newer);
    const before = [table, goMod].map((path) => readFileSync(path, "utf8"));
    const { status, stdout, stderr } = run(script, ["v9.9.9"]);
    expect(stdout.split("\n").slice(0, 2)).toEqual([
      "envoy.service.ext_proc.v3.HttpBody.checksum: missing, upstream has number 6, label singular, type bytes, jsonName checksum",
      "envoy.service.ext_proc.v3.Checksum: new in upstream",
    ]);
    expect(stderr).toContain("@v9.9.9");
    expect(status).toBe(1);
    expect([table, goMod].map((path) => readFileSync(path, "utf8"))).toEqual(before);
  });

  test("protos:diff without Go prints one line about it and exits with 2", () => {
    for (const path of [script, oracle]) {
      const { status, stdout, stderr } = run(path, [], folder);
      expect(stderr.trim().split("\n").at(-1)).toMatch(/^protos:(diff|oracle): go is not on the PATH: install Go /);
      expect(stderr).not.toContain("    at ");
      expect(stdout).toBe("");
      expect(status).toBe(2);
    }
  });

  test("protos:diff rejects an argument that is not a version, and prints its usage", () => {
    for (const args of [["-x"], ["v1.40.0", "v1.41.0"], ["../v1"]]) {
      const { status, stderr } = run(script, args);
      expect(stderr).toMatch(/^usage: npm run protos:diff /);
      expect(status).toBe(2);
    }
  });
});
