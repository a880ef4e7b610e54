import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const program = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));

// CPU and memory come from /proc. The peer and the scenario are those that need nothing but Node.
describe.skipIf(process.platform !== "linux")("npm run bench", () => {
  test("npm run bench checks a peer, measures it and writes the results", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ext-proc-bench-test-"));
    try {
      const files = { json: join(folder, "results.json"), chart: join(folder, "chart.svg") };
      const flags = ["--peers", "node-http2", "--scenarios", "start", "--rounds", "2"];
      const outputs = ["--json", files.json, "--chart", files.chart];
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...flags, ...outputs]);
      expect(stderr).toContain("node-http2: answers as it should");
      expect(stdout).toMatch(/^ {2}node-http2 +\d+ +\d+ +\d+\.\d +±\d+ %$/m);
      const results = JSON.parse(await readFile(files.json, "utf8"));
      expect(results.scenarios).toMatchObject([{ name: "start", peers: [{ peer: "node-http2" }] }]);
      expect(results.scenarios[0].peers[0].rounds).toHaveLength(2);
      expect(await readFile(files.chart, "utf8")).toMatch(/^<svg /);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
