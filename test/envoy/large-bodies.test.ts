import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { envoyBootstrap, type JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary, misbehaviour, NO_MISBEHAVIOUR } from "./envoy-rig.ts";
import { COLLECTING, growthDuring } from "./memory-growth.ts";
import { type ServedProcessor, startServed } from "./served-processor.ts";

const MIB = 1 << 20;
const BODY = randomBytes(20 * MIB);
const AT_ONCE = 6;
/** What comes on top of a first round: far less than the 240 MiB that pass. */
const MEMORY_SLACK_MIB = 60;

const FULL_DUPLEX: JsonObject = {
  request_body_mode: "FULL_DUPLEX_STREAMED",
  response_body_mode: "FULL_DUPLEX_STREAMED",
  request_trailer_mode: "SEND",
  response_trailer_mode: "SEND",
};
const STREAMED: JsonObject = { ...FULL_DUPLEX, request_body_mode: "STREAMED", response_body_mode: "STREAMED" };

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

async function startRig(filter: JsonObject): Promise<{ envoy: EnvoyProcess; served: ServedProcessor }> {
  const upstream = await startEchoUpstream();
  running.push({ stop: () => upstream.close() });
  const served = await startServed("hello", { nodeArgs: COLLECTING });
  const bootstrap = envoyBootstrap({
    extProcPort: served.listenPort,
    upstreamPort: upstream.port,
    http1Trailers: true,
    filter: { message_timeout: "5s", ...filter },
  });
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
  running.push(envoy);
  return { envoy, served };
}

interface Echoed {
  readonly status: number | undefined;
  readonly digest: string;
  readonly trailer: string | undefined;
}

/** Sends the body chunked, with a trailer, while it reads what comes back, at most `bytesPerSecond` of it. */
async function echo(port: number, bytesPerSecond = Number.POSITIVE_INFINITY): Promise<Echoed> {
  const headers = { trailer: "x-client-trailer", "transfer-encoding": "chunked" };
  const request = httpRequest({ host: "127.0.0.1", port, method: "POST", headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.on("response", resolve).on("error", reject);
  });
  request.addTrailers({ "x-client-trailer": "kept" });
  const sent = pipeline(Readable.from(pieces(BODY)), request);
  const response = await answered;
  const hash = createHash("sha256");
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    if (Number.isFinite(bytesPerSecond)) await delay((chunk.length / bytesPerSecond) * 1000);
  }
  await sent;
  const trailer = response.trailers["x-upstream-trailer"];
  return { status: response.statusCode, digest: hash.digest("hex"), trailer };
}

function* pieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 64 * 1024) yield body.subarray(at, at + 64 * 1024);
}

const WHOLE: Echoed = { status: 200, digest: createHash("sha256").update(BODY).digest("hex"), trailer: "kept" };

describe.skipIf(envoyBinary === undefined)("bodies of 20 MiB behind a real Envoy", () => {
  for (const [told, bytesPerSecond] of [
    ["clients that read", undefined],
    ["clients that read slowly", 8 * MIB],
  ] as const) {
    test(`bodies of 20 MiB pass unchanged both ways at once in FULL_DUPLEX_STREAMED, with constant memory, to ${told}`, async () => {
      const { envoy, served } = await startRig({ processing_mode: FULL_DUPLEX });
      await Promise.all(Array.from({ length: AT_ONCE }, () => echo(envoy.port)));
      const echoes = Promise.all(Array.from({ length: AT_ONCE }, () => echo(envoy.port, bytesPerSecond)));
      const { residentMiB: growth } = await growthDuring(served, echoes);
      process.stdout.write(
        `${AT_ONCE} x 20 MiB both ways, ${told}: ${growth} MiB more in the server than after a first round\n`,
      );
      expect(await echoes).toEqual(Array(AT_ONCE).fill(WHOLE));
      expect(growth).toBeLessThan(MEMORY_SLACK_MIB);
      expect(misbehaviour(await envoy.stats("http.ingress_http.ext_proc."))).toEqual(NO_MISBEHAVIOUR);
    }, 60_000);
  }

  test("bodies of 20 MiB pass a server that only watches, which reads every chunk and keeps none", async () => {
    const filter = { observability_mode: true, deferred_close_timeout: "0.5s", processing_mode: STREAMED };
    const { envoy, served } = await startRig(filter);
    await Promise.all(Array.from({ length: AT_ONCE }, () => echo(envoy.port)));
    const echoes = Promise.all(Array.from({ length: AT_ONCE }, () => echo(envoy.port)));
    const { residentMiB: growth } = await growthDuring(served, echoes);
    process.stdout.write(
      `${AT_ONCE} x 20 MiB both ways, watched: ${growth} MiB more in the server than after a first round\n`,
    );
    expect(await echoes).toEqual(Array(AT_ONCE).fill(WHOLE));
    expect(growth).toBeLessThan(MEMORY_SLACK_MIB);
    expect(misbehaviour(await envoy.stats("http.ingress_http.ext_proc."))).toEqual(NO_MISBEHAVIOUR);
    const completed = () => served.metric('ext_proc_streams_total{result="completed",origin="envoy"}');
    await expect.poll(completed, { timeout: 5_000 }).toBe(2 * AT_ONCE);
  }, 60_000);
});
