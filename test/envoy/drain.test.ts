import { afterEach, describe, expect, test } from "vitest";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { fixture } from "../fixtures/fixture.ts";
import { startEchoUpstream } from "./echo-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { bootstrapWithCluster, type ExtProcClusterOptions } from "./ext-proc-cluster.ts";
import { sendLoad } from "./load.ts";
import { type ServedOptions, type ServedProcessor, startServed } from "./served-processor.ts";

const HEALTH_CHECKED: JsonObject = {
  health_checks: [
    {
      interval: "0.5s",
      // Envoy checks an unused cluster only every 60 s, unless this is set.
      no_traffic_interval: "0.5s",
      timeout: "1s",
      unhealthy_threshold: 2,
      healthy_threshold: 1,
      grpc_health_check: { service_name: ExternalProcessor.typeName },
    },
  ],
};
/** For a server that goes without a delay: what it has not begun is tried on the other one. */
const RETRIED: JsonObject = {
  retry_policy: {
    retry_on: "connect-failure,refused-stream,unavailable",
    num_retries: 3,
    retry_host_predicate: [
      {
        name: "envoy.retry_host_predicates.previous_hosts",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        },
      },
    ],
    host_selection_retry_max_attempts: 5,
  },
};
/** Envoy retries three requests at once, unless told otherwise. */
const MANY_RETRIES: JsonObject = {
  circuit_breakers: { thresholds: [{ max_requests: 100_000, max_pending_requests: 10_000, max_retries: 1_000 }] },
};
const PER_SECOND = 500;

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

async function startEnvoyFor(
  servers: readonly ServedProcessor[],
  options: Partial<ExtProcClusterOptions> = {},
): Promise<EnvoyProcess> {
  const upstream = await startEchoUpstream();
  running.push({ stop: () => upstream.close() });
  const ports = servers.map(({ listenPort }) => listenPort);
  const bootstrap = bootstrapWithCluster({ ports, upstreamPort: upstream.port, ...options });
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap, concurrency: 2 });
  running.push(envoy);
  const members = () => envoy.stats("cluster.ext-proc.membership_");
  await expect.poll(members, { timeout: 10_000 }).toMatchObject({ healthy: servers.length });
  return envoy;
}

/** How many transactions a server has completed. */
function completed(served: ServedProcessor): Promise<number> {
  return served.metric('ext_proc_streams_total{result="completed",origin="envoy"}');
}

describe.skipIf(envoyBinary === undefined)(
  "a server that is told to stop under load, while another server runs",
  () => {
    for (const [signal, told, options] of [
      ["SIGTERM", "health checks", { cluster: HEALTH_CHECKED }],
      ["SIGINT", "retries", { grpcService: RETRIED, cluster: MANY_RETRIES }],
    ] as const) {
      test(`a server under load loses no request after ${signal}, behind an Envoy with ${told}`, async () => {
        const [leaving, staying] = [await startServed("hello"), await startServed("hello")];
        // A busy machine may take longer than Envoy's default of 200 ms, and this is about the end of a server.
        const envoy = await startEnvoyFor([leaving, staying], { ...options, filter: { message_timeout: "5s" } });
        await sendLoad({ port: envoy.port, requests: 500 });
        const shares = [await completed(leaving), await completed(staying)];
        const load = sendLoad({
          port: envoy.port,
          perSecond: PER_SECOND,
          inFlight: 1_000,
          until: leaving.ended.then(() => sendLoad({ port: envoy.port, requests: 500 })),
        });
        leaving.kill(signal);
        expect(await leaving.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
        const outcomes = await load;
        process.stdout.write(`${signal}: ${JSON.stringify(outcomes)}, shares before ${shares}\n`);
        expect(outcomes).toEqual({ 200: outcomes["200"] });
        expect(Math.min(...shares)).toBeGreaterThan(0);
        expect(await completed(staying)).toBeGreaterThan(shares[1] ?? 0);
      }, 60_000);
    }
  },
);

describe.skipIf(envoyBinary === undefined)("a server that is told to stop while a handler hangs", () => {
  async function startHung(options: ServedOptions): Promise<{ served: ServedProcessor; answered: Promise<object> }> {
    const served = await startServed(fixture("dependent.js"), { env: { DEPENDENCY_HUNG_MS: "60000" }, ...options });
    const envoy = await startEnvoyFor([served], { filter: { message_timeout: "30s" } });
    const answered = sendLoad({ port: envoy.port, path: "/hang", requests: 3 });
    await expect.poll(() => served.metric("ext_proc_streams_active")).toBe(3);
    return { served, answered };
  }

  test("a server whose handler hangs fails the transaction at the drain's deadline instead of letting it pass", async () => {
    const { served, answered } = await startHung({ flags: ["--drain-delay-ms", "0", "--drain-grace-ms", "500"] });
    served.kill("SIGTERM");
    expect(await answered).toEqual({ 500: 3 });
    const { code, stdout } = await served.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('"fault":"server_draining"');
  });

  test("a server whose handler hangs fails the transaction at once after a second signal", async () => {
    const { served, answered } = await startHung({});
    served.kill("SIGTERM");
    await served.logged("Stopping");
    served.kill("SIGINT");
    expect(await answered).toEqual({ 500: 3 });
    expect((await served.ended).code).toBe(0);
  });
});
