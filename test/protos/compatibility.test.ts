import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compareTables, typesLeftOut } from "./compare-tables.mjs";
import { describeFiles, mirroredFiles, type UpstreamTable } from "./descriptor-table.mjs";

const root = new URL("../../", import.meta.url);
const upstream = JSON.parse(readFileSync(new URL("./upstream.json", import.meta.url), "utf8")) as UpstreamTable;
const ours = describeFiles(mirroredFiles);

test("our messages, enums and services equal upstream's, field by field", () => {
  expect(compareTables(ours, upstream.files)).toEqual([]);
});

test("only base.proto leaves out types that upstream has", () => {
  const { "envoy/config/core/v3/base.proto": base, ...wholeFiles } = ours;
  expect(Object.keys(base?.messages ?? {}).sort()).toEqual([
    "envoy.config.core.v3.HeaderMap",
    "envoy.config.core.v3.HeaderValue",
    "envoy.config.core.v3.HeaderValueOption",
    "envoy.config.core.v3.Metadata",
  ]);
  expect(typesLeftOut(wholeFiles, upstream.files)).toEqual([]);
});

test("every file of proto/ that follows upstream is compared", () => {
  const paths = readdirSync(new URL("proto", root), { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".proto") && !path.startsWith("extproc/"));
  expect(paths.sort()).toEqual(Object.keys(ours).sort());
});

test("the table was made from the releases that the oracle's go.mod names", () => {
  const goMod = readFileSync(new URL("scripts/protos-oracle/go.mod", root), "utf8");
  for (const [path, version] of Object.entries(upstream.modules)) {
    expect(goMod.split("\n").map((line) => line.trim())).toContain(`${path} ${version}`);
  }
});
