import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../../src/cli/demo/envoy-process.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { eventually } from "./eventually.ts";
import { bootstrapOf, type SceneConfig } from "./scene-bootstrap.ts";
import { type ClientInit, type ClientOutcome, type OpenRequest, openRequest, sendRequest } from "./scene-client.ts";
import { type Respond, type SceneUpstream, startSceneUpstream, type UpstreamRequest } from "./scene-upstream.ts";

/** What a row puts around the filter: its configuration, and what stands on both of its sides. */
export interface SceneInit<X extends SceneServer = SceneServer> extends SceneConfig {
  /** The ext_proc service; undefined: no server listens. */
  readonly server?: (() => Promise<X>) | undefined;
  readonly respond?: Respond;
  /** Port of an upstream of the test's own, instead of one that keeps what it sees. */
  readonly upstreamPort?: number;
  /**
   * Counters of the filter that this scene provokes. Those of `QUIET` (at-rest.ts) that are not named here have to be 0, the
   * others may be anything.
   */
  readonly counters?: Readonly<Record<string, number>>;
  /** False: Envoy ends its streams without RST_STREAM. Default: with one, as it does whenever it needs a stream no more. */
  readonly resets?: boolean;
}

/** An ext_proc service of a scene. */
export interface SceneServer {
  readonly port: number;
  close(): Promise<void>;
}

/** A scene that runs. */
export interface Scene<X extends SceneServer = SceneServer> {
  readonly port: number;
  readonly server: X;
  /** What reached the upstream. */
  readonly upstream: readonly UpstreamRequest[];
  send(init?: ClientInit): Promise<ClientOutcome>;
  open(init?: ClientInit): OpenRequest;
  /** The filter's counters, as they are now. */
  counters(): Promise<Record<string, number>>;
  /** Waits for as many lines of the access log; Envoy writes one when a request is over. Default: 1. */
  logged(count?: number): Promise<readonly AccessLogLine[]>;
  /** Requests under way, of clients. */
  active(): Promise<number>;
}

/** A line of a scene's access log. */
export interface AccessLogLine extends Readonly<Record<string, unknown>> {
  readonly scene: string;
  readonly code: number;
  /** Envoy's response flags, such as SI for a stream that idled too long; null: none. */
  readonly flags: string | null;
  /** Null where the response came from the upstream with nothing to tell. */
  readonly details: string | null;
}

/** Scenes behind one Envoy. */
export interface RunningScenes {
  readonly scenes: ReadonlyMap<string, Scene>;
  readonly envoy: EnvoyProcess;
  stop(): Promise<void>;
}

/** A port on which no server listens: the first one needs privileges, and has no service. */
const UNUSED_PORT = 1;

/** Starts servers and upstreams of scenes, by name, and one Envoy with a listener for each. */
export async function startScenes(
  inits: ReadonlyMap<string, SceneInit>,
  runtime?: JsonObject | undefined,
): Promise<RunningScenes> {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-scenes-"));
  const logPath = join(folder, "access.log");
  const parts = await Promise.all([...inits].map(([name, init]) => startParts(name, init)));
  const placed = parts.map(({ name, init, server, upstream }) => ({
    ...init,
    name,
    extProcPort: server?.port ?? UNUSED_PORT,
    upstreamPort: upstream.port,
  }));
  const envoy = await startEnvoy({
    binary: envoyBinary ?? "",
    bootstrap: bootstrapOf(placed, { accessLogPath: logPath, runtime }),
    args: ["--file-flush-interval-msec", "20"],
  });
  const ports = await listenerPorts(envoy);
  const scenes = parts.map((part) => [part.name, sceneOf(part, { envoy, logPath, port: ports.get(part.name) ?? 0 })]);
  return {
    scenes: new Map(scenes as [string, Scene][]),
    envoy,
    async stop() {
      await envoy.stop();
      await Promise.all(parts.flatMap(({ server, upstream }) => [server?.close(), upstream.close()]));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Parts {
  readonly name: string;
  readonly init: SceneInit;
  readonly server: SceneServer | undefined;
  readonly upstream: SceneUpstream;
}

async function startParts(name: string, init: SceneInit): Promise<Parts> {
  const { upstreamPort: port } = init;
  const foreign = port === undefined ? undefined : { port, seen: [], close: async () => undefined };
  return { name, init, server: await init.server?.(), upstream: foreign ?? (await startSceneUpstream(init.respond)) };
}

interface Place {
  readonly envoy: EnvoyProcess;
  readonly logPath: string;
  readonly port: number;
}

function sceneOf({ name, server, upstream }: Parts, { envoy, logPath, port }: Place): Scene {
  const nobody: SceneServer = { port: UNUSED_PORT, close: async () => undefined };
  return {
    port,
    server: server ?? nobody,
    upstream: upstream.seen,
    send: (init) => sendRequest(port, init),
    open: (init = {}) => openRequest(port, init),
    counters: () => envoy.stats(`http.${name}.ext_proc.`),
    logged: (count = 1) =>
      eventually(() => {
        const lines = readLog(logPath).filter(({ scene }) => scene === name);
        if (lines.length < count) throw new Error(`${lines.length} of ${count} lines of ${name} are in the access log`);
        return lines;
      }),
    active: async () => (await envoy.stats(`http.${name}.downstream_rq_active`))[""] ?? 0,
  };
}

function readLog(path: string): AccessLogLine[] {
  // The last line may still be on its way.
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AccessLogLine);
}

async function listenerPorts({ adminPort }: EnvoyProcess): Promise<ReadonlyMap<string, number>> {
  type Status = { name: string; local_address: { socket_address: { port_value: number } } };
  const answer = await fetch(`http://127.0.0.1:${adminPort}/listeners?format=json`);
  const { listener_statuses: statuses } = (await answer.json()) as { listener_statuses: Status[] };
  return new Map(statuses.map(({ name, local_address: at }) => [name, at.socket_address.port_value]));
}
