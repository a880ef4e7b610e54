// `npm run protos:diff [version]` prints what another release of Envoy's API (default: the newest) has in our messages
// that we lack or have otherwise, and the types that are new in the files we follow. It changes nothing in the
// checkout. Exit code 0: nothing to do; 1: differences, printed; 2: they could not be found out.
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareTables, typesLeftOut } from "../test/protos/compare-tables.mjs";
import { describeFiles, mirroredFiles } from "../test/protos/descriptor-table.mjs";
import { OracleFailure, readUpstream, runGo } from "./protos-oracle/run-oracle.mjs";

const envoyModule = "github.com/envoyproxy/go-control-plane/envoy";
const program = fileURLToPath(new URL("./protos-oracle/", import.meta.url));
const tablePath = new URL("../test/protos/upstream.json", import.meta.url);

/**
 * Describes upstream at a version, in a copy of the Go program, since asking for a version rewrites go.mod.
 *
 * @param {string} version
 */
function readUpstreamAt(version) {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-protos-"));
  try {
    for (const name of ["go.mod", "go.sum", "main.go"]) cpSync(join(program, name), join(folder, name));
    process.stderr.write(`getting ${envoyModule}@${version}\n`);
    runGo(folder, ["get", `${envoyModule}@${version}`]);
    runGo(folder, ["mod", "tidy"]);
    process.stderr.write("reading its descriptors; a version read for the first time is compiled, a minute or so\n");
    return readUpstream(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * One line per difference: in our messages first, then types that neither we nor the committed table know.
 *
 * @param {import("../test/protos/descriptor-table.mjs").UpstreamTable} upstream
 */
function differences(upstream) {
  const ours = describeFiles(mirroredFiles);
  /** @type {import("../test/protos/descriptor-table.mjs").UpstreamTable} */
  const known = JSON.parse(readFileSync(tablePath, "utf8"));
  const alreadyLeftOut = new Set(typesLeftOut(ours, known.files));
  const added = typesLeftOut(ours, upstream.files).filter((name) => !alreadyLeftOut.has(name));
  return [...compareTables(ours, upstream.files), ...added.map((name) => `${name}: new in upstream`)];
}

const [version = "latest", ...surplus] = process.argv.slice(2);
if (surplus.length > 0 || !/^[0-9A-Za-z][\w.+-]*$/.test(version)) {
  process.stderr.write("usage: npm run protos:diff [version], such as v1.40.0; default: latest\n");
  process.exitCode = 2;
} else {
  try {
    const upstream = readUpstreamAt(version);
    const lines = differences(upstream);
    const name = `${envoyModule} ${upstream.modules[envoyModule]}`;
    process.stdout.write(
      lines.length === 0
        ? `nothing missing: our protos agree with ${name}\n`
        : `${lines.join("\n")}\n${lines.length} differences from ${name}\n`,
    );
    process.exitCode = lines.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof OracleFailure)) throw error;
    process.stderr.write(`protos:diff: ${error.message}\n`);
    process.exitCode = 2;
  }
}
