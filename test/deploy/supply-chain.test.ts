import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { isInProject } from "../docs/markdown.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => readFileSync(`${root}${path}`, "utf8");

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

describe.each(["package-lock.json", "scripts/api-reference/package-lock.json"])("%s", (path) => {
  const { packages } = JSON.parse(read(path)) as { packages: Record<string, LockedPackage> };
  const locked = Object.entries(packages).filter(([folder, { link }]) => folder !== "" && link !== true);

  test("the lock file has the SHA-512 of every package, including packages for other platforms", () => {
    expect(locked.length).toBeGreaterThan(10);
    const sha512 = /^sha512-[A-Za-z0-9+/]{86}==$/;
    expect(locked.filter(([, { integrity = "" }]) => !sha512.test(integrity)).map(([folder]) => folder)).toEqual([]);
  });

  test("the lock file names no registry, so each machine can use its own", () => {
    expect(locked.filter(([, { resolved }]) => resolved !== undefined).map(([folder]) => folder)).toEqual([]);
  });
});

describe(".ci/python-tools.txt", () => {
  const requirements = read(".ci/python-tools.txt").replaceAll("\\\n", " ").split("\n");
  const pinned = requirements.filter((line) => /^\w/.test(line));

  test(".ci/python-tools.txt pins every package by version and hash", () => {
    expect(pinned.length).toBeGreaterThan(2);
    for (const line of pinned) expect(line).toMatch(/^[\w.-]+==[\w.]+ +(--hash=sha256:[0-9a-f]{64} *)+$/);
  });

  test(".ci/python-tools.txt has the tools that .ci/python-tools.in names", () => {
    const named = read(".ci/python-tools.in").match(/^\w\S+/gm) ?? [];
    const versions = pinned.map((line) => line.split(" ")[0]);
    expect(versions).toEqual(expect.arrayContaining(named));
  });

  test(".ci/tools installs .ci/python-tools.txt with --require-hashes", () => {
    expect(read(".ci/tools")).toMatch(/--require-hashes --requirement \.ci\/python-tools\.txt/);
  });
});

test("every Go program that .ci/tools installs has a version", () => {
  const installed = read(".ci/tools").match(/go install \S+/g) ?? [];
  expect(installed.length).toBeGreaterThan(1);
  for (const each of installed) expect(each).toMatch(/@v\d+\.\d+\.\d+(\+incompatible)?$/);
});

test("every folder that Dependabot updates has a file that Dependabot reads", () => {
  const files: Record<string, readonly string[]> = {
    npm: ["package-lock.json"],
    docker: ["Dockerfile"],
    gomod: ["go.mod"],
    pip: ["requirements.txt", "python-tools.in"],
    cargo: ["Cargo.toml"],
  };
  for (const update of parse(read(".github/dependabot.yml")).updates) {
    const folders: string[] = update.directories ?? [update.directory];
    const known = files[update["package-ecosystem"]] ?? [];
    const missing = folders.filter(
      (folder) => !known.some((file) => isInProject(`${folder}/${file}`.slice(1).replace(/^\//, ""))),
    );
    expect(missing).toEqual([]);
  }
});
