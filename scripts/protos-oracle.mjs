// Writes test/protos/upstream.json, the committed answer to "what do Envoy's descriptors say?", so that tests need no
// Go. To move to another release: `go get github.com/envoyproxy/go-control-plane/envoy@VERSION && go mod tidy` in
// scripts/protos-oracle, then run this. Exit code 0: written; 2: it could not be.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { OracleFailure, readUpstream } from "./protos-oracle/run-oracle.mjs";

const program = fileURLToPath(new URL("./protos-oracle/", import.meta.url));
const tablePath = fileURLToPath(new URL("../test/protos/upstream.json", import.meta.url));

/**
 * Prints JSON with one line for each field, enum value and method, so that a change upstream is a line of a diff.
 *
 * @param {unknown} value
 * @param {string} indent
 * @returns {string}
 */
function format(value, indent) {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${format(item, inner)}`);
  if (entries.length === 0) return "{}";
  const isPlain = Object.values(value).every((item) => typeof item !== "object");
  return isPlain ? `{ ${entries.join(", ")} }` : `{\n${inner}${entries.join(`,\n${inner}`)}\n${indent}}`;
}

try {
  process.stderr.write("reading Envoy's and gRPC's descriptors; the first run downloads their Go modules\n");
  const table = readUpstream(program);
  writeFileSync(tablePath, `${format(table, "")}\n`);
  const versions = Object.entries(table.modules).map(([path, version]) => `${path} ${version}`);
  process.stdout.write(`wrote test/protos/upstream.json from ${versions.join(", ")}\n`);
} catch (error) {
  if (!(error instanceof OracleFailure)) throw error;
  process.stderr.write(`protos:oracle: ${error.message}\n`);
  process.exitCode = 2;
}
