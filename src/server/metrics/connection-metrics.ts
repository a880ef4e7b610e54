import type { Registry } from "prom-client";
import { CONNECTION_FAILURES, type ConnectionCounts, type ListenerName } from "../listen/listener-connections.ts";

/** The sources of the metrics about connections. */
export interface ConnectionMetricSources {
  /** The connections of each open listener. */
  readonly connections: () => Iterable<readonly [ListenerName, ConnectionCounts]>;
  /** How many checks found no free file descriptor. */
  readonly descriptorShortages: () => number;
}

/** Registers the metrics of connections. */
export function registerConnections(
  { Counter, Gauge }: Pick<typeof import("prom-client"), "Counter" | "Gauge">,
  registry: Registry,
  { connections, descriptorShortages }: ConnectionMetricSources,
): void {
  new Gauge({
    name: "ext_proc_connections_open",
    help: "Open connections, by listener and protocol; unknown until a connection has shown its protocol",
    labelNames: ["listener", "protocol"],
    registers: [registry],
    collect() {
      for (const [listener, { open }] of connections())
        for (const [protocol, count] of Object.entries(open)) this.set({ listener, protocol }, count);
    },
  });
  new Gauge({
    name: "ext_proc_connections_max",
    help: "Most open connections of a listener",
    labelNames: ["listener"],
    registers: [registry],
    collect() {
      for (const [listener, { max }] of connections()) this.set({ listener }, max);
    },
  });
  new Counter({
    name: "ext_proc_connections_total",
    help: "Connections, by listener and protocol; unknown if a connection ended before it showed its protocol",
    labelNames: ["listener", "protocol"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [listener, { total }] of connections())
        for (const [protocol, count] of Object.entries(total)) this.inc({ listener, protocol }, count);
    },
  });
  new Counter({
    name: "ext_proc_connection_failures_total",
    help: `Connections that failed before a handler saw a request, by listener and reason: ${CONNECTION_FAILURES.join(", ")}`,
    labelNames: ["listener", "reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [listener, { failures }] of connections())
        for (const [reason, count] of Object.entries(failures)) this.inc({ listener, reason }, count);
    },
  });
  new Counter({
    name: "ext_proc_descriptor_shortages_total",
    help: "Checks, one a second, that found no free file descriptor",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(descriptorShortages());
    },
  });
}
