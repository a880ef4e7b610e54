import { createHash, randomBytes } from "node:crypto";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { envoyBootstrap } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { startEnvoy } from "../../../src/cli/demo/envoy-process.ts";
import { fixture } from "../../fixtures/fixture.ts";
import { envoyBinary, misbehaviour, NO_MISBEHAVIOUR } from "../envoy-rig.ts";
import { COLLECTING, growthDuring } from "../memory-growth.ts";
import { startServed } from "../served-processor.ts";
import { drained } from "./wire.ts";

const MIB = 1 << 20;
const PIECE = randomBytes(MIB);
const INVERTED = PIECE.map((byte) => byte ^ 0xff);
const BYTES_PER_SECOND = 25 * MIB;
/** What is on its way between Envoy, our server and the handler, and what Node takes for itself: far below 100 MiB. */
const SLACK_MIB = 50;

const running: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

/** An upstream that answers so many MiB, as fast as they are taken. */
async function startUpstream(): Promise<number> {
  const server = createServer(async (request, response) => {
    response.on("error", () => undefined);
    for (let left = Number(request.url?.slice(1)); left > 0; left--) {
      if (!response.write(PIECE)) await drained(response);
    }
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  running.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return (server.address() as AddressInfo).port;
}

/** Reads a response of so many MiB, no faster than `bytesPerSecond`; gives its digest. */
async function download(port: number, mebibytes: number, bytesPerSecond: number): Promise<string> {
  const request = httpRequest({ host: "127.0.0.1", port, path: `/${mebibytes}`, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.on("response", resolve).on("error", reject);
  });
  request.end();
  const hash = createHash("sha256");
  const startedMs = performance.now();
  let bytes = 0;
  for await (const chunk of (await answered) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    const aheadMs = (bytes / bytesPerSecond) * 1_000 - (performance.now() - startedMs);
    if (aheadMs > 5) await delay(aheadMs);
  }
  return hash.digest("hex");
}

function invertedDigest(mebibytes: number): string {
  const hash = createHash("sha256");
  for (let left = mebibytes; left > 0; left--) hash.update(INVERTED);
  return hash.digest("hex");
}

describe.skipIf(envoyBinary === undefined)("a response of 100 MiB that its client reads slowly", () => {
  test.each(["STREAMED", "FULL_DUPLEX_STREAMED"])(
    "a response of 100 MiB passes a stream handler in %s with constant memory while the client reads slowly",
    async (mode) => {
      const served = await startServed(fixture("streaming.js"), { nodeArgs: COLLECTING });
      const upstreamPort = await startUpstream();
      const processingMode = { response_body_mode: mode, response_trailer_mode: "SEND" };
      const filter = { message_timeout: "60s", processing_mode: processingMode };
      const envoy = await startEnvoy({
        binary: envoyBinary ?? "",
        bootstrap: envoyBootstrap({ extProcPort: served.listenPort, upstreamPort, filter }),
      });
      running.push(() => envoy.stop());
      await download(envoy.port, 30, Number.POSITIVE_INFINITY);
      const work = download(envoy.port, 100, BYTES_PER_SECOND);
      const growth = await growthDuring(served, work);
      process.stdout.write(`100 MiB to a slow client through stream in ${mode}: ${JSON.stringify(growth)}\n`);
      expect(await work).toBe(invertedDigest(100));
      for (const [name, mebibytes] of Object.entries(growth)) expect(mebibytes, name).toBeLessThan(SLACK_MIB);
      expect(misbehaviour(await envoy.stats("http.ingress_http.ext_proc."))).toEqual(NO_MISBEHAVIOUR);
    },
    60_000,
  );
});
