import type { Registry } from "prom-client";
import type { SessionSet } from "../processor/session-set.ts";
import { FAULT_CODES } from "../protocol/fault.ts";
import { ORIGINS, type OriginCounts, type StreamCounters } from "./stream-counters.ts";

/** Metrics in the text format of Prometheus. */
export interface Metrics {
  /** The `content-type` of that format. */
  readonly contentType: string;
  /** Everything as it stands. */
  scrape(): Promise<string>;
}

/** Metrics for Prometheus, with Node's own process metrics. prom-client is loaded at the first scrape. */
export function createMetrics(counters: StreamCounters, sessions: SessionSet): Metrics {
  let registry: Promise<Registry> | undefined;
  return {
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    async scrape() {
      registry ??= register(counters, sessions);
      return (await registry).metrics();
    },
  };
}

async function register(counters: StreamCounters, sessions: SessionSet): Promise<Registry> {
  const { collectDefaultMetrics, Counter, Gauge, Registry } = await import("prom-client");
  const registry: Registry = new Registry();
  collectDefaultMetrics({ register: registry });

  const expose = (name: string, help: string, label: string, read: (counts: OriginCounts) => Record<string, number>) =>
    new Counter({
      name,
      help,
      labelNames: [label, "origin"],
      registers: [registry],
      collect() {
        this.reset();
        for (const origin of ORIGINS) {
          for (const [value, count] of Object.entries(read(counters.of(origin))))
            this.inc({ [label]: value, origin }, count);
        }
      },
    });

  expose("ext_proc_streams_total", "Transactions that are over, by result", "result", ({ streams }) => streams);
  expose("ext_proc_messages_total", "Messages that opened a phase, by phase", "phase", ({ messages }) => messages);
  expose(
    "ext_proc_faults_total",
    `Failed transactions, by code: ${FAULT_CODES.join(", ")}`,
    "code",
    ({ faults }) => faults,
  );
  new Gauge({
    name: "ext_proc_streams_active",
    help: "Transactions under way",
    registers: [registry],
    collect() {
      this.set(sessions.size);
    },
  });
  return registry;
}
