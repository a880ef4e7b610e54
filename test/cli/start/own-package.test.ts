import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import packageJson from "../../../package.json" with { type: "json" };
import { OFFERED_PACKAGES } from "../../../src/cli/start/own-package.ts";
import { runBinary } from "../../server/spawn-binary.ts";

const major = Number(process.versions.node.split(".")[0]);

const IMPORTS = Object.keys(packageJson.exports)
  .filter((path) => path !== "./package.json")
  .map((path) => `ext-proc${path.slice(1)}`);

/** A processor that is a single file, without a project and without a node_modules folder above it. */
const MINE = `
import { setHeader } from "ext-proc";
import { defineProcessor } from "./lib/define.mjs";
export default defineProcessor({ name: "mine", requestHeaders: () => setHeader("x-mine", "yes") });
`;
const DEFINE = 'export { defineProcessor } from "ext-proc";';

/** A folder outside of this project with these files, which is removed when the test is over. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-own-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function simulated(folder: string, file: string): Promise<string> {
  const { stdout, stderr } = await runBinary(["simulate", join(folder, file), "/"], { cwd: folder });
  return `${stdout}${stderr}`;
}

describe("a processor whose folder has no copy of ext-proc", () => {
  test.each(["mine.mjs", "mine.js"])(
    "a processor without its own copy, and the files that it imports, import the running package: %s",
    async (file) => {
      expect(await simulated(folderWith({ [file]: MINE, "lib/define.mjs": DEFINE }), file)).toContain("+ x-mine: yes");
    },
  );

  test("a processor without its own copy can require the running package as CommonJS", async () => {
    const text = `
      const { defineProcessor, setHeader } = require("ext-proc");
      module.exports = defineProcessor({ name: "mine", requestHeaders: () => setHeader("x-mine", "yes") });
    `;
    expect(await simulated(folderWith({ "mine.cjs": text }), "mine.cjs")).toContain("+ x-mine: yes");
  });

  test.skipIf(major < 24)("a processor without its own copy may be TypeScript", async () => {
    const text = MINE.replace("setHeader }", "setHeader, type Processor }").replace(
      /default (.*);/,
      "default $1 satisfies Processor;",
    );
    expect(await simulated(folderWith({ "mine.mts": text, "lib/define.mjs": DEFINE }), "mine.mts")).toContain(
      "+ x-mine: yes",
    );
  });

  test("a processor is found through the symbolic links with which Kubernetes mounts a ConfigMap", async () => {
    const folder = folderWith({ "..2026_11_30/mine.mjs": MINE.replace("./lib/define.mjs", "ext-proc") });
    symlinkSync("..2026_11_30", join(folder, "..data"));
    symlinkSync("..data/mine.mjs", join(folder, "mine.mjs"));
    expect(await simulated(folder, "mine.mjs")).toContain("+ x-mine: yes");
  });

  test.each([...IMPORTS, "@bufbuild/protobuf", "@bufbuild/protobuf/wkt", "@connectrpc/connect"])(
    "a processor without its own copy can import %s",
    async (name) => {
      const text = `import * as all from ${JSON.stringify(name)}; throw new Error(\`\${Object.keys(all).length > 0}\`);`;
      expect(await simulated(folderWith({ "mine.mjs": text }), "mine.mjs")).toMatch(/cannot be loaded: Error: true\n$/);
    },
  );

  test("a processor cannot import internal files of the package, nor a package with a similar name", async () => {
    const inside = await simulated(folderWith({ "mine.mjs": 'import "ext-proc/dist/cli/main.js";' }), "mine.mjs");
    expect(inside).toMatch(
      /cannot be loaded: Error: Package subpath '\.\/dist\/cli\/main\.js' is not defined by "exports"/,
    );
    for (const name of ["ext-procs", "pino", "@bufbuild/protobuf-x"])
      expect(await simulated(folderWith({ "mine.mjs": `import "${name}";` }), "mine.mjs")).toContain(
        `Cannot find package '${name}' imported from `,
      );
  });
});

describe("a processor whose folder has a copy of ext-proc", () => {
  const copy = {
    "node_modules/ext-proc/package.json": '{ "name": "ext-proc", "type": "module", "exports": "./index.js" }',
    "node_modules/ext-proc/index.js": 'throw new Error("this is the copy")',
  };

  test.each<[string, string]>([
    ["mine.mjs", 'import "ext-proc";'],
    ["mine.cjs", 'require("ext-proc");'],
  ])("a processor whose folder has a copy of ext-proc gets that copy: %s", async (file, text) => {
    expect(await simulated(folderWith({ ...copy, [file]: text }), file)).toContain(
      "cannot be loaded: Error: this is the copy",
    );
  });

  test("a processor whose copy of ext-proc lacks a file gets an error, and not the running package", async () => {
    const { "node_modules/ext-proc/package.json": manifest } = copy;
    const said = await simulated(
      folderWith({ "node_modules/ext-proc/package.json": manifest, "mine.mjs": 'import "ext-proc";' }),
      "mine.mjs",
    );
    expect(said).toMatch(/Cannot find module '.*\/node_modules\/ext-proc\/index\.js'/);
  });
});

test("the packages that processors can import are ext-proc and its peer dependencies", () => {
  expect(OFFERED_PACKAGES).toEqual([packageJson.name, ...Object.keys(packageJson.peerDependencies)]);
});
