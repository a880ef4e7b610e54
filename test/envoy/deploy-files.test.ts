import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { parse } from "yaml";

const binary = inject("envoyBinary") ?? "";
const deploy = new URL("../../deploy/", import.meta.url).pathname;

describe.skipIf(binary === "")("the files of deploy/ that hold Envoy's configuration", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "deploy-files-"));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function validate(file: string): Promise<string> {
    // Ends with an error, and so rejects, where Envoy refuses the file. Nothing is bound or connected.
    const { stdout } = await promisify(execFile)(binary, ["--mode", "validate", "-c", file]);
    return stdout.trim();
  }

  test("envoy.yaml is accepted as it is", async () => {
    const file = `${deploy}envoy.yaml`;
    expect(await validate(file)).toBe(`configuration '${file}' OK`);
  });

  test("the filter of envoyfilter.yaml is accepted in the place where Istio puts it", async () => {
    const bootstrap = parse(readFileSync(`${deploy}envoy.yaml`, "utf8"));
    const { value } = parse(readFileSync(`${deploy}envoyfilter.yaml`, "utf8")).spec.configPatches[0].patch;
    bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0] = value;
    bootstrap.static_resources.clusters[0].name = value.typed_config.grpc_service.envoy_grpc.cluster_name;
    const file = join(folder, "bootstrap.json");
    writeFileSync(file, JSON.stringify(bootstrap));
    expect(await validate(file)).toBe(`configuration '${file}' OK`);
  });
});
