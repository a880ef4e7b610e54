import { readdirSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { spawnBinary } from "../server/spawn-binary.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FREE = [
  "--listen",
  "127.0.0.1:0",
  "--status-listen",
  "127.0.0.1:0",
  "--admin-listen",
  "off",
  "--drain-delay-ms",
  "0",
];

/** An installed package whose files a test may take away and put back. */
async function installation() {
  const folder = await mkdtemp(join(tmpdir(), "parts-not-loaded-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "node_modules"));
  await Promise.all([
    ...["dist", "gen", "package.json"].map((name) => cp(join(ROOT, name), join(folder, name), { recursive: true })),
    ...readdirSync(join(ROOT, "node_modules"))
      .filter((name) => !name.startsWith("."))
      .map((name) => symlink(join(ROOT, "node_modules", name), join(folder, "node_modules", name))),
  ]);
  const away = join(folder, "away");
  return {
    folder,
    main: join(folder, "dist/cli/main.js"),
    take: (path: string) => rename(join(folder, path), away),
    putBack: (path: string) => rename(away, join(folder, path)),
  };
}

const check = (port: number) =>
  fetch(`http://127.0.0.1:${port}/grpc.health.v1.Health/Check`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });

test("/metrics is 503, without a file path in it, while prom-client cannot be loaded, and works when it can be loaded again", async () => {
  const { folder, main, take, putBack } = await installation();
  await take("node_modules/prom-client");
  const binary = spawnBinary(["serve", ...FREE], { main });
  const { status } = await binary.otherPorts();
  const failed = await fetch(`http://127.0.0.1:${status}/metrics`);
  expect(failed.status).toBe(503);
  const text = await failed.text();
  expect(text).not.toContain(folder);
  expect(text).not.toContain("prom-client");
  expect(await binary.logged("could not be loaded")).toMatchObject({
    level: "error",
    part: "metrics",
    code: "ERR_MODULE_NOT_FOUND",
  });
  await putBack("node_modules/prom-client");
  const scraped = await fetch(`http://127.0.0.1:${status}/metrics`);
  expect(scraped.status).toBe(200);
  expect(await scraped.text()).toContain('ext_proc_load_failures_total{part="metrics"} 1');
});

test.each([
  ["connect_http1", "dist/server/endpoints/connect-over-http1.js"],
  ["connect", "dist/server/endpoints/connect-endpoint.js"],
])(
  "a Connect call is 503 while the module %s cannot be loaded, and works when it can be loaded again",
  async (part, path) => {
    const { folder, main, take, putBack } = await installation();
    await take(path);
    const binary = spawnBinary(["serve", ...FREE], { main });
    const port = await binary.port();
    const failed = await check(port);
    expect(failed.status).toBe(503);
    expect(await failed.text()).not.toContain(folder);
    expect(await binary.logged("could not be loaded")).toMatchObject({ part, code: "ERR_MODULE_NOT_FOUND" });
    await putBack(path);
    const answer = await check(port);
    expect([answer.status, await answer.json()]).toEqual([200, { status: "SERVING" }]);
    binary.kill("SIGTERM");
    expect((await binary.ended).stdout).not.toContain(folder);
  },
);

test("a debug call is unavailable while its module cannot be loaded, and works when it can be loaded again", async () => {
  const { folder, main, take, putBack } = await installation();
  await take("dist/debug/describe-processors.js");
  const binary = spawnBinary(["serve", "--debug", "on", ...FREE], { main });
  const port = await binary.port();
  const describe = () =>
    fetch(`http://127.0.0.1:${port}/extproc.debug.v1.DebugService/Describe`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
  const failed = await describe();
  expect([failed.status, (await failed.text()).includes(folder)]).toEqual([503, false]);
  await putBack("dist/debug/describe-processors.js");
  expect((await describe()).status).toBe(200);
});
