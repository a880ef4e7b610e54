import { isProcessor, type Processor } from "../processor/definition.ts";
import type { SessionEnd, SessionObserver } from "../processor/session.ts";
import { SessionSet } from "../processor/session-set.ts";
import type { Origin } from "../processor/transaction.ts";
import type { Phase } from "../protocol/phase.ts";
import { ServingState } from "../services/health-service.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, debugRoutes, extProcRoutes } from "../services/routes.ts";
import { guardAdmin, refuseAdminAddress } from "./admin-access.ts";
import { connectHandler } from "./connect-handler.ts";
import { FaultLog } from "./fault-log.ts";
import { HttpListener, type RequestHandler } from "./http-listener.ts";
import { formatListenAddress, type ListenAddress, parseListenAddress } from "./listen-address.ts";
import { createLogger } from "./log.ts";
import type { Logger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import { statusHandler } from "./status-handler.ts";
import { StreamCounters } from "./stream-counters.ts";

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
  /** Takes nothing new, lets transactions finish for `drainGraceMs`, then ends. What is owed an answer then fails. */
  drain(): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
}

/** A listener that cannot be had. `message` is one line that names the option, the address and what to do. */
export class ListenError extends Error {
  /** The option whose address it is. */
  readonly option: "listen" | "statusListen" | "adminListen";
  /** True where the address itself is wrong, false where the machine refuses it. */
  readonly malformed: boolean;

  constructor(option: ListenError["option"], problem: string, malformed: boolean) {
    super(`${OPTION_FLAGS[option]}: ${problem}`);
    this.name = "ListenError";
    this.option = option;
    this.malformed = malformed;
  }
}

const OPTION_FLAGS = { listen: "--listen", statusListen: "--status-listen", adminListen: "--admin-listen" } as const;
const DEFAULT_DRAIN_GRACE_MS = 20_000;
/** What streams get, once told to end, to say so to their peers. */
const LAST_WORDS_MS = 250;

/**
 * Serves a processor to Envoy, with health, metrics and debugging beside it. Resolves when every listener listens.
 *
 * @throws {ListenError} Where an address is malformed or cannot be had.
 * @throws {TypeError} Where the processor is none.
 */
export async function serve(processor: Processor, options: ServeOptions = {}): Promise<Server> {
  if (!isProcessor(processor))
    throw new TypeError("serve: its argument is no processor; make one with defineProcessor");
  const { debug = "admin", adminToken, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES, log = createLogger() } = options;
  const addresses = {
    listen: address("listen", options.listen ?? ":9002"),
    statusListen: address("statusListen", options.statusListen ?? ":9003"),
    adminListen: address("adminListen", options.adminListen ?? "127.0.0.1:9004"),
  };
  if (addresses.listen.kind === "off") throw new ListenError("listen", 'the main listener cannot be "off"', true);
  const refusal = refuseAdminAddress(addresses.adminListen, adminToken);
  if (refusal !== undefined) throw new ListenError("adminListen", `${options.adminListen} is ${refusal}`, true);

  const serving = new ServingState();
  const counters = new StreamCounters();
  const observer = observeWith(counters, new FaultLog(log));
  const sessions = new SessionSet();
  const routes = extProcRoutes(processor, { observer, sessions, serving, maxMessageBytes, debug: debug === "on" });
  const adminRoutes = debugRoutes(processor, { observer, sessions });
  const listeners = new Listeners();
  try {
    // The main listener last: whoever sees it listen may rely on the others.
    const statusAddress = await listeners.open(
      "statusListen",
      addresses.statusListen,
      statusHandler(serving, createMetrics(counters, sessions)),
    );
    const admin = guardAdmin(connectHandler(debug === "off" ? () => undefined : adminRoutes, log), adminToken);
    const adminAddress = await listeners.open("adminListen", addresses.adminListen, admin);
    const mainAddress = await listeners.open("listen", addresses.listen, connectHandler(routes, log));
    const stop = async (graceMs: number): Promise<void> => {
      serving.end();
      await listeners.drain(graceMs, () => sessions.shutDown());
    };
    log.info(
      { address: mainAddress, processor: processor.name, debug },
      `Starting gRPC server on ${describe(mainAddress)}`,
    );
    log.info({ status: statusAddress, admin: adminAddress }, "Status and admin listeners are open");
    return {
      address: mainAddress,
      statusAddress,
      adminAddress,
      drain: () => stop(options.drainGraceMs ?? DEFAULT_DRAIN_GRACE_MS),
      close: () => stop(0),
    };
  } catch (error) {
    listeners.destroy();
    throw error;
  }
}

/** The listeners of one server. */
class Listeners {
  readonly #open = new Map<ListenError["option"], HttpListener>();

  async open(option: ListenError["option"], wanted: ListenAddress, handler: RequestHandler): Promise<string> {
    if (wanted.kind === "off") return "off";
    const listener = new HttpListener({ address: wanted, handler });
    this.#open.set(option, listener);
    try {
      return formatListenAddress(await listener.listen());
    } catch (cause) {
      throw new ListenError(option, explainListenFailure(formatListenAddress(wanted), cause), false);
    }
  }

  /** Waits for what is under way; at the deadline streams are told, and then cut. */
  async drain(graceMs: number, atDeadline: () => void): Promise<void> {
    const { statusListen, ...others } = Object.fromEntries(this.#open);
    await drainListeners(Object.values(others), graceMs, atDeadline);
    // Last, so that kubelet can ask meanwhile and hear that the server is not ready.
    if (statusListen) await drainListeners([statusListen], LAST_WORDS_MS);
  }

  destroy(): void {
    for (const listener of this.#open.values()) listener.destroy();
  }
}

async function drainListeners(
  listeners: readonly HttpListener[],
  graceMs: number,
  atDeadline?: () => void,
): Promise<void> {
  const drained = Promise.all(listeners.map((listener) => listener.drain()));
  if (await settlesWithin(drained, graceMs)) return;
  atDeadline?.();
  if (!(await settlesWithin(drained, LAST_WORDS_MS))) for (const listener of listeners) listener.destroy();
  await drained;
}

function address(option: ListenError["option"], text: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if (typeof parsed === "string") throw new ListenError(option, parsed, true);
  return parsed;
}

function describe(mainAddress: string): string {
  return mainAddress.startsWith("unix:") ? mainAddress : `port :${mainAddress.slice(mainAddress.lastIndexOf(":") + 1)}`;
}

function explainListenFailure(where: string, cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return `${where} is in use by another process; stop that or name another address`;
  if (code === "EACCES") {
    const wayOut = where.startsWith("unix:") ? "a path in a folder that it may write to" : "a port above 1023";
    return `${where} may not be used by this user; name ${wayOut}`;
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `${where} is no address of this machine`;
  return `${where} cannot be listened on: ${message}`;
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

async function settlesWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const settled = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return settled;
}
