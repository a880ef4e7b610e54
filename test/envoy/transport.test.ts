import { afterEach, describe, expect, test } from "vitest";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { type EchoUpstream, startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary, misbehaviour, NO_MISBEHAVIOUR } from "./envoy-rig.ts";
import { bootstrapWithCluster, type ExtProcClusterOptions } from "./ext-proc-cluster.ts";
import { sendLoad } from "./load.ts";
import { type ServedProcessor, startServed } from "./served-processor.ts";

const WORKERS = 2;
const REQUESTS = 20_000;
const ISTIO_NAME = "outbound|9002||ext-proc.default.svc.cluster.local";

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

interface Rig {
  readonly envoy: EnvoyProcess;
  readonly served: ServedProcessor;
}

async function startRig(options: Partial<ExtProcClusterOptions> = {}, flags: readonly string[] = []): Promise<Rig> {
  const upstream: EchoUpstream = await startEchoUpstream();
  running.push({ stop: () => upstream.close() });
  const served = await startServed("hello", { flags });
  const bootstrap = bootstrapWithCluster({ ports: [served.listenPort], upstreamPort: upstream.port, ...options });
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap, concurrency: WORKERS });
  running.push(envoy);
  return { envoy, served };
}

/** What our own metrics say of the HTTP/2 connections and of the streams on them. */
async function transportCounters({ served }: Rig): Promise<Record<string, number>> {
  const names = ["connections_opened", "streams_opened", "streams_refused", "stream_errors", "early_resets"];
  const samples = names.map(async (name) => [name, await served.metric(`ext_proc_http2_${name}_total`)] as const);
  const held = served.metric("ext_proc_http2_streams_held");
  return { ...Object.fromEntries(await Promise.all(samples)), streams_held: await held };
}

async function streamResults({ served }: Rig): Promise<Record<string, number>> {
  const results = ["completed", "immediate_response", "fault", "unanswered", "canceled"];
  const counts = results.map((result) =>
    served
      .metric(`ext_proc_streams_total{result="${result}",origin="envoy"}`)
      .then((count) => [result, count] as const),
  );
  return Object.fromEntries(await Promise.all(counts));
}

describe.skipIf(envoyBinary === undefined)("the transport behind a real Envoy", () => {
  test(`${REQUESTS} requests are all answered, over one connection for each of Envoy's workers`, async () => {
    const rig = await startRig();
    const startedMs = performance.now();
    const outcomes = await sendLoad({ port: rig.envoy.port, requests: REQUESTS });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const { upstream_cx_total: connections } = await rig.envoy.stats("cluster.ext-proc.");
    const lost = REQUESTS - (outcomes["200"] ?? 0);
    process.stdout.write(
      `Envoy ${rig.envoy.version}, Node ${process.version}: ${REQUESTS} requests, ${lost} lost, ${connections} connections, ${seconds} s\n`,
    );
    expect(outcomes).toEqual({ 200: REQUESTS });
    expect(connections).toBe(WORKERS);
    expect(misbehaviour(await rig.envoy.stats("http.ingress_http.ext_proc."))).toEqual(NO_MISBEHAVIOUR);
    expect(await transportCounters(rig)).toEqual({
      connections_opened: WORKERS,
      streams_opened: REQUESTS,
      streams_refused: 0,
      stream_errors: 0,
      early_resets: 0,
      streams_held: 0,
    });
    await expect
      .poll(() => streamResults(rig))
      .toEqual({ completed: REQUESTS, immediate_response: 0, fault: 0, unanswered: 0, canceled: 0 });
  }, 60_000);

  test("no request is lost while connections live for 300 ms, with a grace of 400 ms", async () => {
    const age = ["--http2-max-connection-age-ms", "300", "--http2-max-connection-age-grace-ms", "400"];
    const rig = await startRig({}, age);
    // Few at once: on a busy machine too, each is over long before the grace is.
    expect(await sendLoad({ port: rig.envoy.port, requests: 3000, inFlight: 5 })).toEqual({ 200: 3000 });
    expect(await rig.served.metric("ext_proc_http2_connections_opened_total")).toBeGreaterThan(2 * WORKERS);
    const cutOff = 'ext_proc_http2_connections_ended_total{reason="connection_age_grace"}';
    expect(await rig.served.metric(cutOff)).toBe(0);
  }, 60_000);

  for (const [told, authority] of [
    ["with the cluster's name for an authority, since none is configured", null],
    ["configured with that authority", ISTIO_NAME],
  ] as const) {
    test(`a cluster that Istio named is served, ${told}`, async () => {
      const rig = await startRig({ name: ISTIO_NAME, authority });
      expect(await sendLoad({ port: rig.envoy.port, requests: 500 })).toEqual({ 200: 500 });
      expect(await transportCounters(rig)).toMatchObject({ streams_opened: 500, stream_errors: 0 });
    });
  }
});
