import { afterEach, describe, expect, test } from "vitest";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { fixture } from "../fixtures/fixture.ts";
import { startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { bootstrapWithCluster } from "./ext-proc-cluster.ts";
import { sendLoad } from "./load.ts";
import { type ServedProcessor, startServed } from "./served-processor.ts";

/** `npm run test:envoy-stress` sets it: twenty seconds at 5,000 streams a second; else a few at what a busy CI can. */
const isFull = process.env.EXT_PROC_STRESS === "full";
const STREAMS_PER_SECOND = isFull ? 5_000 : 1_500;
const SECONDS = isFull ? 20 : 3;
const HUNG_MS = 10_000;

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

async function startRig(): Promise<{ envoy: EnvoyProcess; served: ServedProcessor }> {
  const upstream = await startEchoUpstream();
  running.push({ stop: () => upstream.close() });
  const served = await startServed(fixture("dependent.js"), { env: { DEPENDENCY_HUNG_MS: String(HUNG_MS) } });
  const bootstrap = bootstrapWithCluster({
    ports: [served.listenPort],
    upstreamPort: upstream.port,
    filter: { message_timeout: "0.2s" },
    cluster: { circuit_breakers: { thresholds: [{ max_requests: 1_000_000, max_pending_requests: 1_000_000 }] } },
  });
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
  running.push(envoy);
  return { envoy, served };
}

async function residentMiB(served: ServedProcessor): Promise<number> {
  return Math.round((await served.metric("process_resident_memory_bytes")) / (1 << 20));
}

describe.skipIf(envoyBinary === undefined)("handlers that hang on a dependency, behind a real Envoy", () => {
  for (const path of ["/hang/abortable", "/hang"])
    test(path, async () => {
      const { envoy, served } = await startRig();
      await sendLoad({ port: envoy.port, requests: 2000 });
      const before = await residentMiB(served);
      const start = performance.now();
      const stats: string[] = [];
      const timer = setInterval(async () => {
        stats.push(
          `${Math.round(performance.now() - start)} held ${await served.metric("ext_proc_http2_streams_held")} rss ${await residentMiB(served)} heap ${Math.round((await served.metric("nodejs_heap_size_used_bytes")) / 1048576)} conns ${await served.metric("ext_proc_http2_connections_opened_total")} refused ${await served.metric("ext_proc_http2_streams_refused_total")}`,
        );
      }, 1000);
      const hung = sendLoad({
        port: envoy.port,
        path,
        perSecond: STREAMS_PER_SECOND,
        inFlight: 3000,
        requests: STREAMS_PER_SECOND * SECONDS,
      });
      const others = await sendLoad({ port: envoy.port, inFlight: 5, perSecond: 100, until: hung });
      const took = performance.now() - start;
      console.log(path, await hung, others, `took ${took}`, before, await residentMiB(served));
      await new Promise((r) => setTimeout(r, HUNG_MS + 1000));
      clearInterval(timer);
      console.log(stats.join("\n"));
      console.log(
        await envoy.stats("http.ingress_http.ext_proc."),
        await envoy.stats("cluster.ext-proc.upstream_cx"),
        await envoy.stats("cluster.ext-proc.upstream_rq_"),
      );
      expect(1).toBe(1);
    }, 120_000);
});
