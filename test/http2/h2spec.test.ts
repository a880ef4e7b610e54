import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import tls from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSignedCertificate } from "./self-signed-certificate.ts";
import { TestServer } from "./test-server.ts";

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
  const how = "go install github.com/summerwind/h2spec/cmd/h2spec@latest, or set H2SPEC";
  if (process.env.CI === "true") throw new Error(`h2spec is missing: ${how}`);
  process.stderr.write(`The h2spec tests are skipped, h2spec is missing: ${how}\n`);
}

/** Answers every request when it is complete. */
const createServer = () =>
  new TestServer({
    limits: { tickIntervalMs: 500 },
    handle: ({ stream }) => ({
      onEnd() {
        stream.respond([
          [":status", "200"],
          ["content-type", "text/plain"],
        ]);
        stream.write(Buffer.from("hello\n"));
        stream.end();
      },
    }),
  });

describe.skipIf(h2spec === undefined)("h2spec finds nothing", () => {
  const ports = { tcp: 0, tls: 0 };
  const stops: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const server = createServer();
    const plain = await server.listen();
    ports.tcp = plain.port;
    const secure = tls.createServer({ ...(await selfSignedCertificate()), ALPNProtocols: ["h2"] }, (socket) => {
      server.connections.adopt(socket);
    });
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    const address = secure.address();
    if (address !== null && typeof address === "object") ports.tls = address.port;
    stops.push(plain.stop, () => new Promise((resolve) => secure.close(resolve)));
  });

  afterAll(async () => {
    for (const stop of stops) await stop();
  });

  test.each([
    ["over TCP", "tcp", []],
    ["over TCP, strictly", "tcp", ["--strict"]],
    ["over TLS", "tls", ["--tls", "--insecure"]],
    ["over TLS, strictly", "tls", ["--tls", "--insecure", "--strict"]],
  ] as const)("%s", { timeout: 60_000 }, async (_name, way, flags) => {
    const args = ["--host", "127.0.0.1", "--port", String(ports[way]), "--timeout", "5", ...flags];
    const { stdout } = await run(h2spec ?? "", [...args, "generic", "http2", "hpack"]).catch((error) => error);
    expect(stdout).toMatch(/14[56] tests, 14[56] passed, 0 skipped, 0 failed/);
  });
});
