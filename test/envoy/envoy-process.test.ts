import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { envoyBootstrap, type JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, type EnvoyProcessOptions, startEnvoy } from "../../src/cli/demo/envoy-process.ts";

const binary = inject("envoyBinary") ?? "";
// Nothing listens there: these tests are about Envoy itself.
const PORTS = { extProcPort: 1, upstreamPort: 1 };

describe.skipIf(binary === "")("startEnvoy", () => {
  let temporary: string;
  const running: EnvoyProcess[] = [];

  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), "envoy-process-test-"));
    vi.stubEnv("TMPDIR", temporary);
  });

  afterEach(async () => {
    await Promise.all(running.splice(0).map((envoy) => envoy.stop()));
    vi.unstubAllEnvs();
    rmSync(temporary, { recursive: true, force: true });
  });

  async function start(options: Partial<EnvoyProcessOptions> = {}): Promise<EnvoyProcess> {
    const envoy = await startEnvoy({ binary, bootstrap: envoyBootstrap(PORTS), ...options });
    running.push(envoy);
    return envoy;
  }

  function bootstrapWith(filter: JsonObject): JsonObject {
    return envoyBootstrap({ ...PORTS, filter });
  }

  test("startEnvoy returns the real ports, the release and the filter's counters", async () => {
    const envoy = await start();
    expect(envoy.version).toMatch(/^1\.\d+\.\d+$/);
    // No ext_proc service: fail closed is 500.
    expect((await fetch(`http://127.0.0.1:${envoy.port}/`)).status).toBe(500);
    expect((await fetch(`http://127.0.0.1:${envoy.adminPort}/ready`)).status).toBe(200);
    const counters = await envoy.stats("http.ingress_http.ext_proc.");
    expect(counters).toMatchObject({ streams_started: 1, streams_failed: 1, spurious_msgs_received: 0 });
    expect(await envoy.stats("http.ingress_http.ext_proc.streams_f")).toEqual({ ailed: 1 });
    expect(envoy.log()).toContain("Received gRPC error on stream: 14");
  });

  test("startEnvoy runs several Envoys at once", async () => {
    const [first, second] = await Promise.all([start(), start({ concurrency: 2 })]);
    expect(first?.port).not.toBe(second?.port);
    expect(await second?.stats("server.concurrency")).toEqual({ "": 2 });
  });

  test("stop() ends the Envoy process, removes its folder, and may be called twice", async () => {
    const envoy = await start();
    expect(readdirSync(temporary)).toHaveLength(1);
    await envoy.stop();
    await envoy.stop();
    expect(await envoy.ended).toBe("Envoy ended with exit code 0");
    expect(readdirSync(temporary)).toEqual([]);
    await expect(fetch(`http://127.0.0.1:${envoy.adminPort}/ready`)).rejects.toThrow();
  });

  test("startEnvoy reports how Envoy ended if it was not stopped", async () => {
    const envoy = await start();
    await fetch(`http://127.0.0.1:${envoy.adminPort}/quitquitquit`, { method: "POST" });
    expect(await envoy.ended).toBe("Envoy ended with exit code 0");
  });

  test.for<[string, JsonObject, RegExp]>([
    ["an unknown field", { no_such_field: 1 }, /no such field: 'no_such_field'/],
    ["a value of the wrong type", { processing_mode: { request_body_mode: "SOME" } }, /SOME/],
    ["a missing service", { grpc_service: null }, /One and only one of grpc_service or http_service/],
  ])("startEnvoy rejects %s in one line with Envoy's own words, and leaves no files", async ([, filter, words]) => {
    const failure = await start({ bootstrap: bootstrapWith(filter) }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "EnvoyStartError", message: expect.stringMatching(words) });
    expect((failure as Error).message).toMatch(/^Envoy ended with exit code 1: [^\n]+$/);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("startEnvoy names a port that another program uses", async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) =>
      other.listen(0, "127.0.0.1", () => resolve((other.address() as { port: number }).port)),
    );
    await expect(start({ bootstrap: envoyBootstrap({ ...PORTS, listenerPort: port }) })).rejects.toThrow(
      `cannot bind '127.0.0.1:${port}': Address already in use`,
    );
    other.close();
  });

  test("startEnvoy names a program that cannot be run, and one that is not an Envoy", async () => {
    await expect(start({ binary: join(temporary, "none") })).rejects.toThrow(/^Envoy cannot be run: .*ENOENT/);
    await expect(start({ binary: process.execPath })).rejects.toThrow(/^Envoy ended with exit code \d+: [^\n]+$/);
  });

  test("startEnvoy stops waiting at the time limit, and when it is interrupted", async () => {
    await expect(start({ readyTimeoutMs: 1 })).rejects.toThrow(/was not ready in 1 ms/);
    await expect(start({ signal: AbortSignal.abort() })).rejects.toThrow("starting Envoy was interrupted");
    expect(existsSync(temporary) && readdirSync(temporary)).toEqual([]);
  });
});
