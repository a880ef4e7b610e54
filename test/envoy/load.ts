import { type ClientHttp2Session, connect, constants } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";

/** Requests to send through an Envoy. */
export interface LoadOptions {
  /** Envoy's listener. */
  readonly port: number;
  readonly path?: string;
  /** How many in all; what is sent when `until` resolves is the last, if that is given. */
  readonly requests?: number;
  readonly until?: Promise<unknown>;
  /** Most requests at once. Default 100. */
  readonly inFlight?: number;
  /** Requests started per second. Default: as many as fit into `inFlight`. */
  readonly perSecond?: number;
}

/** How requests ended, by status, or by the client's error code if there was none: `{ "200": 20000 }`. */
export type Outcomes = Readonly<Record<string, number>>;

/** Enough that the kernel gives some to each of Envoy's workers. */
const CONNECTIONS = 20;
/** A rate is kept up in steps of this length. */
const STEP_MS = 10;

/** Sends GET requests over HTTP/2 connections to Envoy, and tells how every single one ended. */
export async function sendLoad(options: LoadOptions): Promise<Outcomes> {
  const { port, path = "/", requests = Number.POSITIVE_INFINITY, until, inFlight = 100, perSecond } = options;
  const outcomes: Record<string, number> = {};
  const sessions = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(port)));
  let left = requests;
  void until?.then(() => {
    left = 0;
  });
  let started = 0;
  const running = new Set<Promise<void>>();
  const start = () => {
    left--;
    const one = get(sessions[started++ % CONNECTIONS], path).then((outcome) => {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      running.delete(one);
    });
    running.add(one);
  };
  const startedMs = performance.now();
  while (left > 0) {
    const due = perSecond === undefined ? left : ((performance.now() - startedMs) / 1000) * perSecond - started;
    for (let more = due; more > 0 && left > 0 && running.size < inFlight; more--) start();
    await (perSecond === undefined ? Promise.race(running) : delay(STEP_MS));
  }
  await Promise.all(running);
  await Promise.all(sessions.map((session) => new Promise<void>((resolve) => session.close(resolve))));
  return outcomes;
}

async function open(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`);
  // Every stream reports it too, and that is counted.
  session.on("error", () => undefined);
  await new Promise<void>((resolve) => session.once("connect", () => resolve()));
  return session;
}

function get(session: ClientHttp2Session | undefined, path: string): Promise<string> {
  return new Promise((resolve) => {
    const stream = session?.request({ [constants.HTTP2_HEADER_PATH]: path });
    let outcome = "no answer";
    stream?.on("response", (headers) => {
      outcome = String(headers[":status"]);
    });
    stream?.on("error", (error: NodeJS.ErrnoException) => {
      outcome = error.code ?? error.message;
    });
    stream?.on("close", () => resolve(outcome));
    stream?.resume().end();
  });
}
