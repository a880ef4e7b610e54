import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { type Server, serve } from "../../src/server/serve.ts";
import { selfSignedCertificate } from "../http2/self-signed-certificate.ts";

const run = promisify(execFile);

/** h2spec by $H2SPEC, in $GOBIN, on the path, or where `go install` puts it. */
function findH2spec(): string | undefined {
  const { H2SPEC, GOBIN = "", PATH = "" } = process.env;
  const folders = [GOBIN, ...PATH.split(delimiter), join(homedir(), "go", "bin")].filter((folder) => folder !== "");
  return [...(H2SPEC === undefined ? [] : [H2SPEC]), ...folders.map((folder) => join(folder, "h2spec"))].find(
    existsSync,
  );
}

const h2spec = findH2spec();
if (h2spec === undefined) {
  const how = "go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible, or set H2SPEC";
  if (process.env.CI === "true") throw new Error(`h2spec is missing: ${how}`);
  process.stderr.write(`The h2spec tests are skipped, h2spec is missing: ${how}\n`);
}

describe.skipIf(h2spec === undefined)("h2spec", () => {
  let servers: Server[] = [];
  let folder = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ext-proc-h2spec-"));
    const { cert, key } = await selfSignedCertificate();
    const tls = { certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
    await Promise.all([writeFile(tls.certFile, cert), writeFile(tls.keyFile, key)]);
    const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const options = { listen: "127.0.0.1:0", statusListen: "off", adminListen: "off", log: silent };
    servers = await Promise.all([serve(hello, options), serve(hello, { ...options, tls })]);
  });

  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close()));
    await rm(folder, { recursive: true });
  });

  test.each([
    ["over TCP", 0, []],
    ["over TCP, strictly", 0, ["--strict"]],
    ["over TLS", 1, ["--tls", "--insecure"]],
    ["over TLS, strictly", 1, ["--tls", "--insecure", "--strict"]],
  ] as const)("h2spec finds no failure on the service port %s", { timeout: 60_000 }, async (_name, index, flags) => {
    const port = servers[index]?.address.split(":").at(-1) ?? "";
    const args = ["--host", "127.0.0.1", "--port", port, "--timeout", "5", ...flags];
    const { stdout } = await run(h2spec ?? "", [...args, "generic", "http2", "hpack"]).catch((error) => error);
    expect(stdout).toMatch(/14[56] tests, 14[56] passed, 0 skipped, 0 failed/);
  });
});
