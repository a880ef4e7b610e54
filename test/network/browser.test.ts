import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { serverForTest } from "../server/start-server.ts";
import { servePage } from "./page.ts";

/** Chromium by $CHROMIUM, or on the path. */
function findChromium(): string | undefined {
  const { CHROMIUM, PATH = "" } = process.env;
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const onPath = PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  return [...(CHROMIUM ? [CHROMIUM] : []), ...onPath].find(existsSync);
}

const executablePath = findChromium();
if (executablePath === undefined) {
  const how = "apt install chromium, or set CHROMIUM";
  if (process.env.CI === "true") throw new Error(`Chromium is missing: ${how}`);
  process.stderr.write(`Tests in a browser are skipped, Chromium is missing: ${how}\n`);
}

/** What a page found when it called the debug service. */
interface Found {
  readonly error?: string;
  readonly upstream?: unknown;
  readonly client?: unknown;
  readonly processors?: readonly string[];
}

/** Calls the debug service by connect-web. It is text, since it runs in the page, which the test runner has not transformed. */
function callsOf(transport: "createConnectTransport" | "createGrpcWebTransport", baseUrl: string): string {
  return `(async () => {
    const { createClient } = await import("@connectrpc/connect");
    const { ${transport} } = await import("@connectrpc/connect-web");
    const { DebugService } = await import("/gen/extproc/debug/v1/debug_pb.js");
    const client = createClient(DebugService, ${transport}({ baseUrl: ${JSON.stringify(baseUrl)} }));
    try {
      const simulated = await client.simulate({ request: { method: "GET", path: "/headers" } });
      const { processors } = await client.describe({});
      return {
        upstream: simulated.upstreamRequest.headers["x-ext-proc-header"],
        client: simulated.clientResponse.headers["x-ext-proc-header"],
        processors: processors.map(({ name }) => name),
      };
    } catch (error) {
      return { error: String(error) };
    }
  })()`;
}

describe.skipIf(executablePath === undefined)("a page in Chromium", () => {
  let browser: Browser | undefined;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());

  async function inPage(origin: string, script: string): Promise<Found> {
    const page = await browser?.newPage();
    if (page === undefined) throw new Error("there is no browser");
    onTestFinished(() => page.close());
    await page.goto(origin);
    return page.evaluate<Found>(script);
  }

  test.each(["createConnectTransport", "createGrpcWebTransport"] as const)(
    "a page of an allowed origin calls the debug service by connect-web's %s",
    async (transport) => {
      const origin = await servePage();
      const { port } = await serverForTest(hello, { debug: "on", debugAllowOrigins: [origin] });
      expect(await inPage(origin, callsOf(transport, `http://127.0.0.1:${port}`))).toEqual({
        upstream: "hello-to-asm",
        client: "hello-from-asm",
        processors: ["hello"],
      });
    },
  );

  test.each(["createConnectTransport", "createGrpcWebTransport"] as const)(
    "a page of another origin gets no answer from any listener by connect-web's %s",
    async (transport) => {
      const origin = await servePage();
      const { port, adminPort } = await serverForTest(hello, { debug: "on", debugAllowOrigins: ["https://a.example"] });
      for (const at of [port, adminPort]) {
        const { error } = await inPage(origin, callsOf(transport, `http://127.0.0.1:${at}`));
        expect(error).toMatch(/Failed to fetch/);
      }
    },
  );
});
