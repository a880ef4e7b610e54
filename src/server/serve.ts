import { setTimeout as delay } from "node:timers/promises";
import { acceptGrpc } from "../grpc/accept-grpc.ts";
import { isProcessor, type Processor } from "../processor/definition.ts";
import type { SessionEnd, SessionObserver } from "../processor/session.ts";
import { SessionSet } from "../processor/session-set.ts";
import type { Origin } from "../processor/transaction.ts";
import type { Phase } from "../protocol/phase.ts";
import { ServingState } from "../services/serving-state.ts";
import { guardAdmin, refuseAdminAddress } from "./admin-access.ts";
import { connectionLog } from "./connection-log.ts";
import { deferredEndpoint } from "./deferred-endpoint.ts";
import { FaultLog } from "./fault-log.ts";
import { ListenError, listenAddressOf } from "./listen-error.ts";
import { Listeners } from "./listeners.ts";
import { createLogger } from "./log.ts";
import type { Logger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import { statusPages } from "./status-pages.ts";
import { StreamCounters } from "./stream-counters.ts";
import type { TlsFiles } from "./tls-files.ts";
import { readTlsOptions } from "./tls-options.ts";

/**
 * Where the debug service runs processors for whoever can call it: on the main port too, on the admin listener
 * alone, or nowhere.
 */
export type DebugExposure = "on" | "admin" | "off";

/** How a processor is served. Addresses: `:PORT`, `HOST:PORT`, `[IPv6]:PORT`, `unix:PATH` or `off`; port 0 is any free one. */
export interface ServeOptions {
  /** For Envoy, and for Connect and gRPC-Web clients. Default `:9002`; it cannot be `off`. */
  readonly listen?: string | undefined;
  /** For kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`. Default `:9003`. */
  readonly statusListen?: string | undefined;
  /** For the person who debugs. Default `127.0.0.1:9004`; an address that others can reach needs `adminToken`. */
  readonly adminListen?: string | undefined;
  /** Bearer token that the admin listener asks for. Default: none. */
  readonly adminToken?: string | undefined;
  /** Default `admin`: whoever reaches the main port can send messages anyway, but should not read explained errors. */
  readonly debug?: DebugExposure | undefined;
  /** Largest message, in bytes. Default 4 MiB; it has to exceed the largest body that Envoy buffers. */
  readonly maxMessageBytes?: number | undefined;
  /** Certificate and key for the main listener, which then speaks TLS 1.2 or later. Default: none, plain text. */
  readonly tls?: TlsFiles | undefined;
  /**
   * How long {@link Server.drain} goes on serving, in milliseconds, while health and readiness already say no, so that
   * peers can learn to go elsewhere. Default 0; the command line has 5000 for SIGTERM.
   */
  readonly drainDelayMs?: number | undefined;
  /** Longest that {@link Server.drain} waits for transactions under way, in milliseconds. Default 20,000. */
  readonly drainGraceMs?: number | undefined;
  /** Default: JSON lines on standard output. */
  readonly log?: Logger | undefined;
}

/** A running server. */
export interface Server {
  /** Where the main listener listens, with its real port. */
  readonly address: string;
  /** The same of the status listener; `off` where there is none. */
  readonly statusAddress: string;
  /** The same of the admin listener. */
  readonly adminAddress: string;
  /**
   * Says no to health checks, after `drainDelayMs` takes nothing new, and ends when transactions under way are done, or
   * `drainGraceMs` later: those that are owed an answer then fail with UNAVAILABLE, since Envoy takes a plain end for
   * "let it pass".
   */
  drain(options?: { readonly delayMs?: number | undefined }): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
}

const DEFAULT_DRAIN_GRACE_MS = 20_000;
/** Largest message unless options say otherwise: what gRPC servers take by default. */
const DEFAULT_MAX_MESSAGE_BYTES = 4 << 20;

/**
 * Serves a processor to Envoy, with health, metrics and debugging beside it. Resolves when every listener listens.
 *
 * @throws {ListenError} Where an address is malformed or cannot be had.
 * @throws {TlsFileError} Where a file for TLS cannot be read.
 * @throws {TypeError} Where the processor is none.
 */
export async function serve(processor: Processor, options: ServeOptions = {}): Promise<Server> {
  if (!isProcessor(processor))
    throw new TypeError("serve: its argument is no processor; make one with defineProcessor");
  const { debug = "admin", adminToken, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES, log = createLogger() } = options;
  const { listen, statusListen, adminListen } = addressesOf(options);
  const tls = options.tls && readTlsOptions(options.tls);

  const serving = new ServingState();
  const counters = new StreamCounters();
  const sessions = new SessionSet();
  const observer = observeWith(counters, new FaultLog(log));
  const shared = { observer, sessions, serving, maxMessageBytes, debug: debug === "on" };
  let nowListening: () => void = () => undefined;
  // Listening comes first: Envoy's calls do not need Connect, which takes a while to load.
  const connecting = new Promise<void>((resolve) => {
    nowListening = resolve;
  }).then(() => import("./connect-endpoint.ts"));
  const main = deferredEndpoint(connecting.then(({ mainEndpoint }) => mainEndpoint(processor, shared, log)));
  const admin = deferredEndpoint(
    connecting.then(({ adminEndpoint }) => adminEndpoint(processor, debug === "off" ? undefined : shared, log)),
  );
  const process = { processor, observer, sessions, maxMessageBytes };
  const listeners = new Listeners(connectionLog(log));
  try {
    // The main listener last: whoever sees it listen may rely on the others.
    const metrics = createMetrics({ counters, sessions, http2: () => listeners.http2Totals("listen") });
    const statusAddress = await listeners.open("statusListen", statusListen, {
      endpoint: statusPages(serving, metrics),
    });
    const adminAddress = await listeners.open("adminListen", adminListen, { endpoint: guardAdmin(admin, adminToken) });
    const endpoint = { http1: main.http1, http2: acceptGrpc(process, main.http2) };
    const address = await listeners.open("listen", listen, { endpoint, tls });
    log.info(
      { address, processor: processor.name, debug, tls: tls !== undefined },
      `Starting gRPC server on ${describe(address)}`,
    );
    log.info({ status: statusAddress, admin: adminAddress }, "Status and admin listeners are open");
    nowListening();
    return { address, statusAddress, adminAddress, ...endings({ serving, sessions, listeners }, options) };
  } catch (error) {
    listeners.destroy();
    throw error;
  }
}

/** @throws {ListenError} Where one is malformed, or may not be used as it is. */
function addressesOf({ listen, statusListen, adminListen = "127.0.0.1:9004", adminToken }: ServeOptions) {
  const addresses = {
    listen: listenAddressOf("listen", listen ?? ":9002"),
    statusListen: listenAddressOf("statusListen", statusListen ?? ":9003"),
    adminListen: listenAddressOf("adminListen", adminListen),
  };
  if (addresses.listen.kind === "off") throw new ListenError("listen", 'the main listener cannot be "off"', true);
  const refusal = refuseAdminAddress(addresses.adminListen, adminToken);
  if (refusal !== undefined) throw new ListenError("adminListen", `${adminListen} is ${refusal}`, true);
  return addresses;
}

interface Running {
  readonly serving: ServingState;
  readonly sessions: SessionSet;
  readonly listeners: Listeners;
}

function endings({ serving, sessions, listeners }: Running, options: ServeOptions): Pick<Server, "drain" | "close"> {
  const end = (graceMs: number) => listeners.drain(graceMs, () => sessions.shutDown());
  return {
    async drain({ delayMs = options.drainDelayMs ?? 0 } = {}) {
      serving.end();
      // Without a hold on the process: a hurried close() meanwhile is the end.
      if (delayMs > 0) await delay(delayMs, undefined, { ref: false });
      await end(options.drainGraceMs ?? DEFAULT_DRAIN_GRACE_MS);
    },
    async close() {
      serving.end();
      await end(0);
    },
  };
}

function describe(address: string): string {
  return address.startsWith("unix:") ? address : `port :${address.slice(address.lastIndexOf(":") + 1)}`;
}

function observeWith(...observers: readonly SessionObserver[]): SessionObserver {
  return {
    message(phase: Phase, origin: Origin) {
      for (const observer of observers) observer.message(phase, origin);
    },
    ended(end: SessionEnd, origin: Origin) {
      for (const observer of observers) observer.ended(end, origin);
    },
  };
}
