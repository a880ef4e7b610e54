import type { Registry } from "prom-client";
import { SHED_REASONS } from "../../http2/end-reason.ts";
import type { Http2Totals } from "../../http2/totals.ts";
import { BODY_CAPS, type BodyBudget } from "../../memory/body-budget.ts";
import type { MemoryAccount } from "../../memory/memory-account.ts";
import type { MemoryShare } from "../../memory/memory-share.ts";
import { FAULT_CODES } from "../../protocol/faults.ts";
import type { ServingState } from "../../services/serving-state.ts";
import { FAULT_OUTCOMES } from "../../session/fault-outcome.ts";
import { UNENFORCED_REASONS } from "../../session/session-observer.ts";
import type { SessionSet } from "../../session/session-set.ts";
import type { Http1Totals } from "../listen/http1-server.ts";
import { LAZY_PARTS, LazyPart, type LoadFailures } from "../log/lazy-part.ts";
import type { LogOutput } from "../log/log-output.ts";
import { type ConnectionMetricSources, registerConnections } from "./connection-metrics.ts";
import { SharedTask } from "./shared-task.ts";
import { ORIGINS, type OriginCounts, type StreamCounters } from "./stream-counters.ts";

/** Metrics in the text format of Prometheus. */
export interface Metrics {
  /** The `content-type` of that format. */
  readonly contentType: string;
  /**
   * The current values of all metrics. Scrapes at the same time share one result. Undefined if too many wait, see
   * {@link SharedTask}.
   *
   * @param connection Identifies the connection of the client.
   * @throws {PartNotLoaded} If prom-client cannot be loaded.
   */
  scrape(connection: object): Promise<Buffer | undefined>;
}

/** The sources of the metrics. Each number is read during a scrape. */
export interface MetricSources extends ConnectionMetricSources {
  readonly counters: StreamCounters;
  readonly sessions: SessionSet;
  readonly serving: ServingState;
  readonly shadow: boolean;
  readonly memory: MemoryAccount;
  /** Counts bodies that were too large, and has the cap of one transaction. */
  readonly bodyBudget: BodyBudget;
  /** Lines of the decision log that were left out; undefined without such a log. */
  readonly decisionsLeftOut: (() => number) | undefined;
  /** The log output of the process. */
  readonly logOutput: Pick<LogOutput, "lost" | "waitingBytes">;
  readonly loadFailures: LoadFailures;
  /** Totals of the main listener's HTTP/2 connections; undefined until it listens. */
  readonly http2: () => Http2Totals | undefined;
  /** HTTP/2 streams that were reset to free memory, by listener; those of listeners that are off are undefined. */
  readonly streamsShed: () => Readonly<Record<"main" | "status" | "admin", Http2Totals["streamsShed"] | undefined>>;
  /** Totals of the HTTP/1.1 connections by listener; those of listeners that are off are undefined. */
  readonly http1: () => Readonly<Record<"main" | "status" | "admin", Http1Totals | undefined>>;
}

/** Metrics for Prometheus, with Node's own process metrics. prom-client is loaded at the first scrape. */
export function createMetrics(sources: MetricSources): Metrics {
  let refusals = 0;
  const shared = new LazyPart(
    "metrics",
    async () => {
      const registry = await register(sources, () => refusals);
      return new SharedTask(async () => Buffer.from(await registry.metrics()));
    },
    sources.loadFailures,
  );
  return {
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    async scrape(connection) {
      const scraped = (await shared.load()).ask(connection);
      if (scraped === undefined) refusals++;
      return scraped;
    },
  };
}

async function register(sources: MetricSources, scrapesRefused: () => number): Promise<Registry> {
  const prometheus = await import("prom-client");
  const registry: Registry = new prometheus.Registry();
  prometheus.collectDefaultMetrics({ register: registry });
  registerTransactions(prometheus, registry, sources);
  registerRunning(prometheus, registry, sources);
  registerMemory(prometheus, registry, sources.memory);
  registerBodies(prometheus, registry, sources.bodyBudget);
  registerConnections(prometheus, registry, sources);
  registerHttp2(prometheus, registry, sources.http2);
  registerStreamsShed(prometheus, registry, sources.streamsShed);
  registerHttp1(prometheus, registry, sources.http1);
  registerLog(prometheus, registry, sources.logOutput);
  registerLoadFailures(prometheus, registry, sources.loadFailures);
  new prometheus.Counter({
    name: "ext_proc_scrapes_refused_total",
    help: "Requests for the metrics that got 503, because too many waited",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(scrapesRefused());
    },
  });
  return registry;
}

type Prometheus = typeof import("prom-client");

function registerTransactions(
  { Counter, Gauge }: Prometheus,
  registry: Registry,
  { counters, sessions }: Pick<MetricSources, "counters" | "sessions">,
): void {
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
  expose(
    "ext_proc_unenforced_total",
    `What processors wanted and did not get, by reason: ${UNENFORCED_REASONS.join(", ")}`,
    "reason",
    ({ unenforced }) => unenforced,
  );
  registerFaults({ Counter }, registry, counters);
  new Counter({
    name: "ext_proc_thread_holds_total",
    help: "How often the thread was blocked for longer than Envoy waits for an answer",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(counters.threadBlocks);
    },
  });
  new Gauge({
    name: "ext_proc_streams_active",
    help: "Running transactions",
    registers: [registry],
    collect() {
      this.set(sessions.size);
    },
  });
}

function registerFaults({ Counter }: Pick<Prometheus, "Counter">, registry: Registry, counters: StreamCounters): void {
  new Counter({
    name: "ext_proc_fault_outcomes_total",
    help: `Faults, by code, source, processor and outcome: ${FAULT_OUTCOMES.join(", ")}`,
    labelNames: ["code", "source", "processor", "outcome", "origin"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { count, ...labels } of counters.faults()) this.inc(labels, count);
    },
  });
  new Counter({
    name: "ext_proc_processor_hook_failures_total",
    help: "Failures of a processor's setup, done and close",
    labelNames: ["hook", "processor"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { count, ...labels } of counters.hookFailures()) this.inc(labels, count);
    },
  });
}

function registerMemory({ Counter, Gauge }: Prometheus, registry: Registry, memory: MemoryAccount): void {
  const gauge = (name: string, help: string, read: (share: MemoryShare) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ["kind"],
      registers: [registry],
      collect() {
        for (const share of memory.shares) this.set({ kind: share.kind }, read(share));
      },
    });
  gauge("ext_proc_memory_held_bytes", "Bytes that clients make the server hold", ({ heldBytes }) => heldBytes);
  gauge("ext_proc_memory_held_bytes_peak", "The most held bytes since the start", ({ peakBytes }) => peakBytes);
  gauge("ext_proc_memory_max_bytes", "The cap of held bytes", ({ maxBytes }) => maxBytes);
  new Counter({
    name: "ext_proc_memory_refusals_total",
    help: "Requests and answers that were rejected because their bytes did not fit",
    labelNames: ["kind"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { kind, refusals } of memory.shares) this.inc({ kind }, refusals);
    },
  });
}

function registerBodies({ Counter, Gauge }: Prometheus, registry: Registry, bodies: BodyBudget): void {
  new Gauge({
    name: "ext_proc_memory_max_bytes_per_stream",
    help: "Most bytes of bodies that one transaction can hold",
    registers: [registry],
    collect() {
      this.set(bodies.maxStreamBytes);
    },
  });
  new Counter({
    name: "ext_proc_body_refusals_total",
    help: `Bodies that were too large, by cap (${BODY_CAPS.join(", ")}) and answer (reject, pass)`,
    labelNames: ["cap", "answer"],
    registers: [registry],
    collect() {
      this.reset();
      for (const cap of BODY_CAPS)
        for (const [answer, count] of Object.entries(bodies.refusals[cap])) this.inc({ cap, answer }, count);
    },
  });
}

function registerRunning({ Counter, Gauge }: Prometheus, registry: Registry, sources: MetricSources): void {
  new Gauge({
    name: "ext_proc_ready",
    help: "1 while the server accepts transactions, as in /readyz",
    registers: [registry],
    collect() {
      this.set(sources.serving.serving ? 1 : 0);
    },
  });
  new Gauge({
    name: "ext_proc_shadow",
    help: "1 in shadow mode: handlers run, and nothing that they want happens",
    registers: [registry],
    collect() {
      this.set(sources.shadow ? 1 : 0);
    },
  });
  const { decisionsLeftOut } = sources;
  if (decisionsLeftOut === undefined) return;
  new Counter({
    name: "ext_proc_decisions_left_out_total",
    help: "Lines of the decision log that were not written, because there were too many in that second",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(decisionsLeftOut());
    },
  });
}

function registerLoadFailures({ Counter }: Prometheus, registry: Registry, { counts }: LoadFailures): void {
  new Counter({
    name: "ext_proc_load_failures_total",
    help: `How often a part of the server could not be loaded, by part: ${LAZY_PARTS.join(", ")}`,
    labelNames: ["part"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [part, count] of Object.entries(counts)) this.inc({ part }, count);
    },
  });
}

function registerLog({ Counter, Gauge }: Prometheus, registry: Registry, output: MetricSources["logOutput"]): void {
  new Counter({
    name: "ext_proc_log_lines_lost_total",
    help: "Log lines that were not written, by reason: buffer_full (no process reads the log), write_failed",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, lines] of Object.entries(output.lost)) this.inc({ reason }, lines);
    },
  });
  new Gauge({
    name: "ext_proc_log_buffer_bytes",
    help: "Bytes of log lines that wait for the log's reader",
    registers: [registry],
    collect() {
      this.set(output.waitingBytes);
    },
  });
}

function registerHttp2({ Counter, Gauge }: Prometheus, registry: Registry, totals: MetricSources["http2"]): void {
  const count = (name: string, help: string, read: (totals: Http2Totals) => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        const now = totals();
        if (now) this.inc(read(now));
      },
    });
  count("ext_proc_http2_connections_opened_total", "HTTP/2 connections", ({ connectionsOpened }) => connectionsOpened);
  count("ext_proc_http2_streams_opened_total", "HTTP/2 streams", ({ streamsOpened }) => streamsOpened);
  count(
    "ext_proc_http2_streams_refused_total",
    "Streams over the concurrency limit",
    ({ streamsRefused }) => streamsRefused,
  );
  count(
    "ext_proc_http2_stream_errors_total",
    "Streams whose client broke a rule of HTTP/2",
    ({ streamErrors }) => streamErrors,
  );
  count(
    "ext_proc_http2_header_lists_too_large_total",
    "Streams whose headers exceed --http2-max-header-list-bytes",
    ({ headerListsTooLarge }) => headerListsTooLarge,
  );
  count(
    "ext_proc_http2_early_resets_total",
    "Streams that the client reset before their handler ran",
    ({ resetsBeforeWork }) => resetsBeforeWork,
  );
  new Counter({
    name: "ext_proc_http2_connections_ended_total",
    help: "HTTP/2 connections that are over, by reason",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, ended] of Object.entries(totals()?.connectionsEnded ?? {})) this.inc({ reason }, ended);
    },
  });
  new Gauge({
    name: "ext_proc_http2_streams_held",
    help: "Streams that are over while a handler still runs for them",
    registers: [registry],
    collect() {
      this.set(totals()?.streamsHeld ?? 0);
    },
  });
}

function registerStreamsShed({ Counter }: Prometheus, registry: Registry, shed: MetricSources["streamsShed"]): void {
  new Counter({
    name: "ext_proc_http2_streams_shed_total",
    help: `HTTP/2 streams that the server reset to free memory, by listener and reason: ${SHED_REASONS.join(", ")}`,
    labelNames: ["listener", "reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [listener, counts] of Object.entries(shed()))
        for (const [reason, count] of Object.entries(counts ?? {})) this.inc({ listener, reason }, count);
    },
  });
}

function registerHttp1({ Counter }: Prometheus, registry: Registry, totals: MetricSources["http1"]): void {
  new Counter({
    name: "ext_proc_http1_requests_delayed_total",
    help: "Pipelined HTTP/1.1 requests that waited for the response to the request before them, by listener",
    labelNames: ["listener"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [listener, now] of Object.entries(totals())) if (now) this.inc({ listener }, now.requestsDelayed);
    },
  });
}
