import { setTimeout as delay } from "node:timers/promises";
import { acceptGrpc } from "../grpc/accept-grpc.ts";
import type { Http2LimitsInit } from "../http2/limits.ts";
import { BodyBudget } from "../memory/body-budget.ts";
import { DEFAULT_MEMORY_CAPS, MemoryAccount } from "../memory/memory-account.ts";
import { isProcessor, type Processor } from "../processor/definition.ts";
import { type OperatorOptions, ruleWarnings, runRules, unenforceable } from "../processor/run-rules.ts";
import { DebugGate, type DebugLimits } from "../services/debug/debug-gate.ts";
import { ServingState } from "../services/serving-state.ts";
import { SessionSet } from "../session/session-set.ts";
import { ProcessorSetup } from "../session/setup.ts";
import { ThreadWatch } from "../session/thread-watch.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../wire/message-limits.ts";
import { deferredEndpoint } from "./endpoints/deferred-endpoint.ts";
import { guardAdmin } from "./listen/admin-access.ts";
import { connectionLog } from "./listen/connection-log.ts";
import { type ConnectionCaps, connectionCaps, DescriptorWatch, descriptorLimit } from "./listen/descriptor-limit.ts";
import { listenAddresses } from "./listen/listen-addresses.ts";
import { Listeners } from "./listen/listeners.ts";
import type { TlsFiles } from "./listen/tls-files.ts";
import { readTlsOptions } from "./listen/tls-options.ts";
import { boundedLog } from "./log/bounded-log.ts";
import { type DecisionLogOptions, SampledDecisionLog } from "./log/decision-log.ts";
import { FaultLog } from "./log/fault-log.ts";
import { LazyPart, LoadFailures } from "./log/lazy-part.ts";
import { createLogger } from "./log/log.ts";
import { standardLogOutput } from "./log/log-output.ts";
import type { Logger } from "./log/logger.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { statusPages } from "./metrics/status-pages.ts";
import { StreamCounters } from "./metrics/stream-counters.ts";
import { observeSetup, observeWith } from "./observers.ts";

/**
 * Which listeners have the debug service: `on`: the main and the admin listener; `admin`: the admin listener only;
 * `off`: none.
 */
export type DebugExposure = "on" | "admin" | "off";

/**
 * Options of {@link serve}. An address is `:PORT`, `HOST:PORT`, `[IPv6]:PORT`, `unix:PATH` or `off`; port 0 is any free
 * port.
 */
export interface ServeOptions extends OperatorOptions {
  /** Address for Envoy, and for Connect and gRPC-Web clients. Default `:9002`; it cannot be `off`. */
  readonly listen?: string | undefined;
  /** Address for kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`. Default `:9003`. */
  readonly statusListen?: string | undefined;
  /** Address for debugging. Default `127.0.0.1:9004`; an address that other machines can reach needs `adminToken`. */
  readonly adminListen?: string | undefined;
  /** Bearer token that clients of the admin listener must send. Default: none. */
  readonly adminToken?: string | undefined;
  /**
   * Which listeners have the debug service. Default `admin`, because clients of the main port should not get explained
   * errors.
   */
  readonly debug?: DebugExposure | undefined;
  /**
   * Serves Envoy's `http_service` variant, `POST /http-service`, on the main listener. Default: true if `debug` is
   * `on`.
   */
  readonly httpService?: boolean | undefined;
  /**
   * Web origins that can call the debug service, such as `https://console.example`. The admin listener's own origin
   * always can. Default: none.
   */
  readonly debugAllowOrigins?: readonly string[] | undefined;
  /**
   * Limits of debug calls, for all listeners together. Default: 4 calls at a time, 10 calls a second, 256 KiB for each
   * call.
   */
  readonly debugLimits?: DebugLimits | undefined;
  /**
   * Most open connections to the main listener. If the process cannot open enough files for this number, the server
   * lowers it, with a warning. Default 1,024, or less if the process can open few files.
   */
  readonly maxConnections?: number | undefined;
  /** Largest message, in bytes. Default 4 MiB; it must be larger than the largest body that Envoy buffers. */
  readonly maxMessageBytes?: number | undefined;
  /** Most bytes of bodies that all transactions hold at the same time. Default 128 MiB. */
  readonly maxHeldBodyBytes?: number | undefined;
  /** Most bytes of bodies that one transaction holds, both directions and all handlers together. Default 48 MiB. */
  readonly maxHeldBodyBytesPerStream?: number | undefined;
  /** Most bytes of headers, of 4 KiB or more each, that transactions and their handlers hold. Default 32 MiB. */
  readonly maxHeldHeaderBytes?: number | undefined;
  /** Most bytes of unfinished messages, and of received bytes that wait in paused streams. Default 48 MiB. */
  readonly maxHeldMessageBytes?: number | undefined;
  /** Most bytes of answers that wait to be sent. Default 48 MiB. */
  readonly maxHeldAnswerBytes?: number | undefined;
  /** Most bytes of debug requests, and of other Connect and JSON requests. Default 16 MiB. */
  readonly maxHeldDebugBytes?: number | undefined;
  /** Certificate and key for the main listener, which then uses TLS 1.2 or later. Default: no TLS. */
  readonly tls?: TlsFiles | undefined;
  /**
   * How long {@link Server.drain} keeps serving, in milliseconds, while health and readiness checks already fail, so
   * that clients can change to another server. Default 0; the command line has 5000 for SIGTERM.
   */
  readonly drainDelayMs?: number | undefined;
  /** How long {@link Server.drain} waits for running transactions, in milliseconds. Default 20,000. */
  readonly drainGraceMs?: number | undefined;
  /** One log line for each transaction of a sample, with its decisions. Default: none. */
  readonly decisionLog?: DecisionLogOptions | undefined;
  /** Limits of the main listener's HTTP/2 connections. */
  readonly http2?: Http2Settings | undefined;
  /** The logger. Default: JSON lines on standard output. */
  readonly log?: Logger | undefined;
}

/** Limits of HTTP/2 connections: times in milliseconds, 0 = never; `maxHeaderListBytes` is 256 KiB by default. */
export type Http2Settings = Pick<
  Http2LimitsInit,
  | "maxHeaderListBytes"
  | "maxConnectionAgeMs"
  | "maxConnectionAgeGraceMs"
  | "idleTimeoutMs"
  | "keepAliveIntervalMs"
  | "keepAliveTimeoutMs"
  | "messageStallTimeoutMs"
  | "answerStallTimeoutMs"
>;

/** A running server. */
export interface Server {
  /** The address of the main listener, with its actual port. */
  readonly address: string;
  /** The address of the status listener; `off` if there is none. */
  readonly statusAddress: string;
  /** The address of the admin listener; `off` if there is none. */
  readonly adminAddress: string;
  /**
   * Lets health checks fail, accepts nothing new after `drainDelayMs`, and ends when running transactions are done, but
   * at most `drainGraceMs` later. Transactions that then still wait for an answer fail with UNAVAILABLE, because Envoy
   * would let a request pass if its stream simply ended.
   */
  drain(options?: { readonly delayMs?: number | undefined }): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
}

const DEFAULT_DRAIN_GRACE_MS = 20_000;

/**
 * Serves a processor to Envoy, with health, metrics and debugging. Resolves when every listener listens.
 *
 * @throws {ListenError} If an address is malformed or cannot be used.
 * @throws {TlsFileError} If a file for TLS cannot be read.
 * @throws {TypeError} If the first argument is not a processor.
 */
export async function serve(processor: Processor, options: ServeOptions = {}): Promise<Server> {
  if (!isProcessor(processor))
    throw new TypeError("serve: its argument is not a processor; make one with defineProcessor");
  const {
    debug = "admin",
    httpService = debug === "on",
    adminToken,
    maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES,
  } = options;
  const log = boundedLog(options.log ?? createLogger());
  const { listen, statusListen, adminListen } = listenAddresses(options);
  const tls = options.tls && readTlsOptions(options.tls);

  const shared = runningParts(processor, options, log);
  const { serving, sessions, setup } = shared;
  const debugAccess = { gate: new DebugGate(options.debugLimits), allowOrigins: options.debugAllowOrigins ?? [] };
  const loadFailures = new LoadFailures(log);
  const routes = {
    ...shared,
    maxMessageBytes,
    debug: debug === "on",
    debugAccess,
    httpService,
    loadFailures,
  };
  let nowListening: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => {
    nowListening = resolve;
  });
  // Listening comes first: Envoy's calls do not need Connect, which takes a while to load.
  const connect = new LazyPart(
    "connect",
    async () => {
      await listening;
      const { mainEndpoint, adminEndpoint } = await import("./endpoints/connect-endpoint.ts");
      return {
        main: mainEndpoint(processor, routes, log),
        admin: adminEndpoint(processor, { ...routes, isOff: debug === "off" }, log),
      };
    },
    loadFailures,
  );
  const [main, admin] = [deferredEndpoint(connect, "main"), deferredEndpoint(connect, "admin")];
  const process = { ...shared, processor, maxMessageBytes };
  const connections = connectionLog(log);
  const listeners = new Listeners(connections, connectionCapsOf(options.maxConnections, log), shared.memory);
  const descriptorWatch = new DescriptorWatch((code) => {
    connections.onNoDescriptor(code);
    listeners.makeRoom();
  });
  try {
    // The main listener comes last, so that the others listen when it does.
    const metrics = createMetrics({
      ...shared.metrics,
      serving,
      sessions,
      logOutput: standardLogOutput(),
      loadFailures,
      http2: () => listeners.http2Totals("listen"),
      http1: () => ({
        main: listeners.http1Totals("listen"),
        status: listeners.http1Totals("statusListen"),
        admin: listeners.http1Totals("adminListen"),
      }),
      streamsShed: () => ({
        main: listeners.http2Totals("listen")?.streamsShed,
        status: listeners.http2Totals("statusListen")?.streamsShed,
        admin: listeners.http2Totals("adminListen")?.streamsShed,
      }),
      connections: () => listeners.connections(),
      descriptorShortages: () => descriptorWatch.shortages,
    });
    const statusAddress = await listeners.open("statusListen", statusListen, {
      endpoint: statusPages(serving, setup, metrics),
    });
    const adminAddress = await listeners.open("adminListen", adminListen, { endpoint: guardAdmin(admin, adminToken) });
    const endpoint = { http1: main.http1, http2: acceptGrpc(process, main.http2) };
    const address = await listeners.open("listen", listen, { endpoint, tls, limits: options.http2 });
    log.info(
      { address, processor: processor.name, debug, tls: tls !== undefined },
      `Starting gRPC server on ${describe(address)}`,
    );
    log.info({ status: statusAddress, admin: adminAddress }, "Status and admin listeners are open");
    nowListening();
    // If this fails, the first request tries again.
    connect.load().catch(() => undefined);
    setup.start(() => serving.begin());
    return {
      address,
      statusAddress,
      adminAddress,
      ...endings({ ...shared, listeners, connect, descriptorWatch }, options),
    };
  } catch (error) {
    setup.abort();
    descriptorWatch.stop();
    listeners.destroy();
    throw error;
  }
}

/** The parts that all transactions of a server share, and their observers. */
function runningParts(processor: Processor, options: ServeOptions, log: Logger) {
  const { envoy, onFault, shadow, processors, decisionLog } = options;
  const operator = { envoy, onFault, shadow, processors };
  const rules = runRules(processor, operator);
  for (const warning of [...ruleWarnings(rules, processors), ...unenforceable(rules)]) log.warn({}, warning);
  const counters = new StreamCounters();
  const faults = new FaultLog(log);
  const decisions = decisionLog && decisionLog.sample > 0 ? new SampledDecisionLog(log, decisionLog) : undefined;
  const setup = new ProcessorSetup(rules, observeSetup(counters, faults));
  const memory = memoryAccount(options, log);
  const bodyBudget = new BodyBudget(memory.bodies, options.maxHeldBodyBytesPerStream);
  const observer = observeWith(counters, faults);
  const threadWatch = new ThreadWatch(rules.declaration.messageTimeoutMs, (hold) => observer.threadBlocked?.(hold));
  return {
    operator,
    rules,
    threadWatch,
    setup,
    memory,
    bodyBudget,
    decisions,
    serving: new ServingState(setup.unready === undefined),
    sessions: new SessionSet(),
    observer,
    metrics: {
      counters,
      memory,
      bodyBudget,
      shadow: rules.shadow,
      decisionsLeftOut: decisions && (() => decisions.leftOut),
    },
  };
}

/** The memory account, with the caps that the options name. */
function memoryAccount(options: ServeOptions, log: Logger): MemoryAccount {
  const { maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES, maxHeldMessageBytes = DEFAULT_MEMORY_CAPS.messages } = options;
  // One connection can hold half of the cap at most.
  if (maxHeldMessageBytes < 2 * maxMessageBytes)
    log.warn(
      { maxHeldMessageBytes, maxMessageBytes },
      "--max-held-message-bytes should be at least twice --max-message-bytes, so that a message of that size fits",
    );
  return new MemoryAccount({
    bodies: options.maxHeldBodyBytes,
    headers: options.maxHeldHeaderBytes,
    messages: options.maxHeldMessageBytes,
    answers: options.maxHeldAnswerBytes,
    debug: options.maxHeldDebugBytes,
  });
}

interface Running {
  readonly serving: ServingState;
  readonly sessions: SessionSet;
  readonly setup: ProcessorSetup;
  readonly threadWatch: ThreadWatch;
  readonly descriptorWatch: DescriptorWatch;
  readonly listeners: Listeners;
  /** The part with Connect, which may still be loading. */
  readonly connect: Pick<LazyPart<unknown>, "settled">;
}

function endings(
  { serving, sessions, setup, threadWatch, descriptorWatch, listeners, connect }: Running,
  options: ServeOptions,
): Pick<Server, "drain" | "close"> {
  const end = async (graceMs: number) => {
    await listeners.drain(graceMs, () => sessions.shutDown());
    threadWatch.stop();
    descriptorWatch.stop();
    await setup.close();
    // The caller may remove files when this resolves, so a module must not be loading then.
    await connect.settled();
  };
  return {
    async drain({ delayMs = options.drainDelayMs ?? 0 } = {}) {
      serving.end();
      setup.abort();
      // The timer must not keep the process alive, because close() can end the server during the delay.
      if (delayMs > 0) await delay(delayMs, undefined, { ref: false });
      await end(options.drainGraceMs ?? DEFAULT_DRAIN_GRACE_MS);
    },
    async close() {
      serving.end();
      await end(0);
    },
  };
}

/** The result of {@link connectionCaps}, with a warning if the setting is too large. */
function connectionCapsOf(wanted: number | undefined, log: Logger): ConnectionCaps {
  const openFiles = descriptorLimit();
  const caps = connectionCaps(wanted, openFiles);
  if (wanted !== undefined && caps.main < wanted) {
    const what = `--max-connections ${wanted} is too large for the process's limit of ${openFiles} open files`;
    log.warn(
      { maxConnections: caps.main, openFiles },
      `${what}; using ${caps.main}. Raise the limit of open files (ulimit -n)`,
    );
  }
  return caps;
}

function describe(address: string): string {
  return address.startsWith("unix:") ? address : `port :${address.slice(address.lastIndexOf(":") + 1)}`;
}
