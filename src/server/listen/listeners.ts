import type { Http2Memory } from "../../http2/connection.ts";
import type { Http2Totals } from "../../http2/totals.ts";
import type { ConnectionLog } from "./connection-log.ts";
import type { ConnectionCaps } from "./descriptor-limit.ts";
import type { Http1Totals } from "./http1-server.ts";
import { formatListenAddress, type ListenAddress } from "./listen-address.ts";
import { type ListenOption, listenFailure } from "./listen-error.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import type { ConnectionCounts, ListenerName } from "./listener-connections.ts";

/** The time in which streams that must end can still tell their clients. */
const LAST_WORDS_MS = 250;

const NAMES = {
  listen: "main",
  statusListen: "status",
  adminListen: "admin",
} as const satisfies Record<ListenOption, ListenerName>;

/** The listeners of one server. */
export class Listeners {
  readonly #open = new Map<ListenOption, Listener>();
  readonly #log: ConnectionLog;
  readonly #caps: ConnectionCaps;
  readonly #memory: Http2Memory;

  constructor(log: ConnectionLog, caps: ConnectionCaps, memory: Http2Memory) {
    this.#log = log;
    this.#caps = caps;
    this.#memory = memory;
  }

  /**
   * Opens a listener and returns its actual address; undefined if it is `off`.
   *
   * @throws {ListenError} If the address cannot be used.
   */
  async open(
    option: ListenOption,
    address: ListenAddress,
    options: Pick<ListenerOptions, "endpoint" | "tls" | "limits">,
  ): Promise<string> {
    if (address.kind === "off") return "off";
    const name = NAMES[option];
    const maxConnections = this.#caps[name];
    const listener = new Listener({
      ...options,
      ...this.#log,
      memory: this.#memory,
      address,
      maxConnections,
      onConnectionFailure: (reason, details) =>
        this.#log.onConnectionFailure({ listener: name, maxConnections, reason, ...details }),
    });
    this.#open.set(option, listener);
    try {
      return formatListenAddress(await listener.listen());
    } catch (cause) {
      throw listenFailure(option, address, cause);
    }
  }

  /** Totals of the HTTP/2 connections of a listener. */
  http2Totals(option: ListenOption): Http2Totals | undefined {
    return this.#open.get(option)?.http2.totals;
  }

  /** Totals of the HTTP/1.1 connections of a listener. */
  http1Totals(option: ListenOption): Http1Totals | undefined {
    return this.#open.get(option)?.http1.totals;
  }

  /** The connection counts of each open listener. */
  *connections(): Iterable<readonly [ListenerName, ConnectionCounts]> {
    for (const [option, { connections }] of this.#open) yield [NAMES[option], connections];
  }

  /** Closes the connections without a known protocol, because the process needs the file descriptors. */
  makeRoom(): void {
    for (const listener of this.#open.values()) listener.makeRoom();
  }

  /** Waits for running streams. At the deadline `atDeadline` ends them, and then connections are closed. */
  async drain(graceMs: number, atDeadline: () => void): Promise<void> {
    const { statusListen, ...others } = Object.fromEntries(this.#open);
    await drainListeners(Object.values(others), graceMs, atDeadline);
    // The status listener ends last, so that kubelet can see that the server is not ready.
    if (statusListen) await drainListeners([statusListen], LAST_WORDS_MS);
  }

  /** Ends every connection at once. */
  destroy(): void {
    for (const listener of this.#open.values()) listener.destroy();
  }
}

async function drainListeners(listeners: readonly Listener[], graceMs: number, atDeadline?: () => void): Promise<void> {
  const drained = Promise.all(listeners.map((listener) => listener.drain()));
  if (await settlesWithin(drained, graceMs)) return;
  atDeadline?.();
  if (!(await settlesWithin(drained, LAST_WORDS_MS))) for (const listener of listeners) listener.destroy();
  await drained;
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
