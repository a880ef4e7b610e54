import { readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { SIGTERM_DRAIN_DELAY_MS } from "../../src/cli/serve.ts";
import { BUILT_IN_NAMES, loadProcessor } from "../../src/cli/start/load-processor.ts";
import { parseListenAddress } from "../../src/server/listen/listen-address.ts";
import { createLogger } from "../../src/server/log/log.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { grpcJsClient } from "../network/grpc-js-client.ts";
import { serverForTest } from "../server/start-server.ts";
import { parseDockerfile } from "./dockerfile.ts";
import { requireTool, runTool } from "./required-tool.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => readFileSync(`${root}${path}`, "utf8");
const [service, deployment] = parseAllDocuments(read("deploy/ext.yaml")).map((document) => document.toJS());
const envoyFilter = parse(read("deploy/envoyfilter.yaml"));
const networkPolicy = parse(read("deploy/networkpolicy.yaml"));
const envoy = parse(read("deploy/envoy.yaml"));

const pod = deployment.spec.template.spec;
const [container] = pod.containers;
const inserted = envoyFilter.spec.configPatches[0].patch.value;

function defaultPort(setting: keyof typeof SETTINGS): number {
  const address = parseListenAddress(SETTINGS[setting].fallback ?? "");
  return "kind" in address && address.kind === "tcp" ? address.port : -1;
}

function containerPort(nameOrNumber: string | number): number | undefined {
  const ports: { name: string; containerPort: number }[] = container.ports;
  return ports.find((port) => port.name === nameOrNumber || port.containerPort === nameOrNumber)?.containerPort;
}

// The newest schemas that the tool has, and the release whose gRPC probes became stable.
describe.each<[string, readonly string[]]>([
  ["the newest release", []],
  ["1.27", ["-k", "1.27.0"]],
])("the manifests for Kubernetes, %s", (_, release) => {
  test.for<[string, readonly string[]]>([
    ["deploy/ext.yaml", ["service", "deployment"]],
    ["deploy/networkpolicy.yaml", ["networkpolicy"]],
  ])("%s is valid, checked strictly", async ([path, kinds], context) => {
    const tool = requireTool(
      {
        name: "kubernetes-validate",
        variable: "KUBERNETES_VALIDATE",
        install: "pip install --require-hashes -r .ci/python-tools.txt",
      },
      context,
    );
    const { exitCode, output } = await runTool(tool, [...release, "--strict", `${root}${path}`]);
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    for (const kind of kinds) expect(output).toContain(`passed for resource ${kind}/ext-proc`);
  });
});

describe("deploy/ext.yaml", () => {
  test("the Service's port grpc leads to the default port of the server", () => {
    const [port] = service.spec.ports;
    expect(port).toMatchObject({ name: "grpc", port: defaultPort("listen") });
    expect(containerPort(port.targetPort)).toBe(defaultPort("listen"));
    expect(deployment.spec.template.metadata.labels).toMatchObject(service.spec.selector);
    expect(deployment.spec.template.metadata.labels).toMatchObject(deployment.spec.selector.matchLabels);
  });

  test("probes and scrapes use default ports of the server and the name that Envoy calls", () => {
    const grpc = { port: defaultPort("listen"), service: ExternalProcessor.typeName };
    expect([container.startupProbe.grpc, container.readinessProbe.grpc]).toEqual([grpc, grpc]);
    expect(containerPort(container.livenessProbe.httpGet.port)).toBe(defaultPort("statusListen"));
    const { annotations } = deployment.spec.template.metadata;
    expect(Number(annotations["prometheus.io/port"])).toBe(defaultPort("statusListen"));
  });

  test("every probe gets a good answer from a server that runs these processors", async () => {
    const quiet = createLogger("silent");
    const { port, statusPort } = await serverForTest(await loadProcessor(container.args.slice(1), quiet), {
      log: quiet,
    });
    const health = grpcJsClient(Health, port);
    for (const { grpc } of [container.startupProbe, container.readinessProbe]) {
      const answer = await health.unary("check", create(HealthCheckRequestSchema, { service: grpc.service }));
      expect(answer).toMatchObject({ status: HealthCheckResponse_ServingStatus.SERVING });
    }
    const { annotations } = deployment.spec.template.metadata;
    for (const path of [container.livenessProbe.httpGet.path, annotations["prometheus.io/path"]]) {
      expect((await fetch(`http://127.0.0.1:${statusPort}${path}`)).status).toBe(200);
    }
  });

  test("the Deployment runs this version of the image, with built-in processors", () => {
    const { version } = JSON.parse(read("package.json"));
    expect(container.image).toBe(`ext-proc:${version}`);
    const [command, ...processors] = container.args;
    expect(command).toBe("serve");
    expect(BUILT_IN_NAMES).toEqual(expect.arrayContaining(processors));
    expect(processors).not.toContain("header-modifier");
  });

  test("the Deployment gives the server longer to end than its drain takes, and has no preStop hook", () => {
    const drainMs = SIGTERM_DRAIN_DELAY_MS + Number(SETTINGS.drainGraceMs.fallback);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(drainMs / 1000 + 5);
    expect(container).not.toHaveProperty("lifecycle");
    for (const setting of ["drainDelayMs", "drainGraceMs"] as const) {
      expect(container.args).not.toContain(`--${SETTINGS[setting].flag}`);
    }
  });

  test("the Deployment gives the pod only the rights that it needs, and the user of the image", () => {
    const user = parseDockerfile(read("Dockerfile"))
      .at(-1)
      ?.instructions.find(({ keyword }) => keyword === "USER");
    expect(pod.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: Number(user?.argument),
      runAsGroup: Number(user?.argument),
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(pod).toMatchObject({ enableServiceLinks: false, automountServiceAccountToken: false });
    expect(container.resources).toMatchObject({ requests: { cpu: expect.anything(), memory: expect.anything() } });
    expect(container.resources.limits.memory).toBeDefined();
  });
});

describe("deploy/envoyfilter.yaml", () => {
  test("the EnvoyFilter puts the filter before the router of the inbound listener", () => {
    expect(envoyFilter).toMatchObject({ kind: "EnvoyFilter", metadata: { name: "httpbin-ext-proc" } });
    const [patch] = envoyFilter.spec.configPatches;
    expect(patch).toMatchObject({ applyTo: "HTTP_FILTER", patch: { operation: "INSERT_BEFORE" } });
    expect(patch.match).toEqual({
      context: "SIDECAR_INBOUND",
      listener: {
        portNumber: 80,
        filterChain: {
          filter: {
            name: "envoy.filters.network.http_connection_manager",
            subFilter: { name: "envoy.filters.http.router" },
          },
        },
      },
    });
  });

  test("the EnvoyFilter calls the Service of ext.yaml with an authority that every HTTP/2 server accepts", () => {
    const { name, namespace } = service.metadata;
    expect(inserted.typed_config.grpc_service.envoy_grpc).toEqual({
      cluster_name: `outbound|${service.spec.ports[0].port}||${name}.${namespace}.svc.cluster.local`,
      authority: `${name}.${namespace}.svc.cluster.local`,
    });
  });

  test("the EnvoyFilter configures the filter as envoy.yaml does", () => {
    const { filters } = envoy.static_resources.listeners[0].filter_chains[0];
    const [plain] = filters[0].typed_config.http_filters;
    const { grpc_service: _, ...ours } = inserted.typed_config;
    const { grpc_service: __, ...theirs } = plain.typed_config;
    expect(inserted.name).toBe(plain.name);
    expect(ours).toEqual(theirs);
  });
});

describe("deploy/networkpolicy.yaml", () => {
  const { ingress, egress, podSelector, policyTypes } = networkPolicy.spec;
  const [fromEnvoy, fromPrometheus] = ingress;

  test("the NetworkPolicy applies to the pods of ext.yaml, in both directions", () => {
    expect(networkPolicy.metadata.namespace).toBe(deployment.metadata.namespace);
    expect(podSelector).toEqual(deployment.spec.selector);
    expect(policyTypes).toEqual(["Ingress", "Egress"]);
    expect(egress).toEqual([]);
  });

  test("the NetworkPolicy lets only the workload of envoyfilter.yaml reach the main port, and only Prometheus the status port", () => {
    expect(ingress).toHaveLength(2);
    expect(fromEnvoy.from).toEqual([{ podSelector: { matchLabels: envoyFilter.spec.workloadSelector.labels } }]);
    expect(envoyFilter.metadata.namespace).toBe(networkPolicy.metadata.namespace);
    expect(fromEnvoy.ports.map(({ port }: { port: string }) => containerPort(port))).toEqual([defaultPort("listen")]);
    expect(fromPrometheus.from).toEqual([
      {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } },
        podSelector: { matchLabels: { "app.kubernetes.io/name": "prometheus" } },
      },
    ]);
    expect(fromPrometheus.ports.map(({ port }: { port: string }) => containerPort(port))).toEqual([
      defaultPort("statusListen"),
    ]);
  });
});

describe("deploy/envoy.yaml", () => {
  test("Envoy calls the default port of the server", () => {
    const [cluster] = envoy.static_resources.clusters;
    const { address } = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint;
    expect(address.socket_address).toEqual({ address: "127.0.0.1", port_value: defaultPort("listen") });
  });

  test("Envoy listens on loopback only", () => {
    const { listeners } = envoy.static_resources;
    for (const { address } of [...listeners, envoy.admin]) {
      expect(address.socket_address.address).toBe("127.0.0.1");
    }
  });
});
