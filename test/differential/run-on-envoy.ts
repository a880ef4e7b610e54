import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import type { HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import type { HttpReport } from "../../src/simulator/report/report.ts";
import { type ScriptedCall, type ScriptedServer, startScriptedServer } from "../envoy/scripted.ts";
import { type Scenario, scenarioExchange } from "../scenarios/scenario.ts";
import type { Action, Script } from "../scenarios/script.ts";
import { differentialBootstrap, type EnvoyLane } from "./envoy-config.ts";
import { namespacesOf } from "./namespaces.ts";
import { TIME_SCALE } from "./play-message.ts";
import { tunnelPlan } from "./play-tunnel.ts";
import { playExchange, type RealExchange, type RealUpstream, startRealUpstream } from "./real-exchange.ts";
import { type AccessLogLine, realOutcome } from "./real-outcome.ts";

/** Exchanges under way at a time: most of them only wait. */
const AT_ONCE = 16;
/** TCP port 1 of the loopback, if nothing listens, and which no program is ever given by chance. */
const NOWHERE_PORT = 1;
const SETTLE_MS = 100;
const MAX_SETTLE_MS = 10_000;

/** One scenario with what stands ready for it. */
interface Lane {
  readonly config: EnvoyLane;
  readonly scenario: Scenario;
  readonly exchange: HttpExchange;
  readonly upstream: RealUpstream;
}

/** Runs scenarios on one Envoy process, and returns what happened in each, in their order. */
export async function runOnEnvoy(binary: string, scenarios: readonly Scenario[]): Promise<readonly HttpReport[]> {
  const folder = await mkdtemp(join(tmpdir(), "ext-proc-differential-"));
  const accessLogFile = join(folder, "access.log");
  const calls = new Map<string, ScriptedCall>();
  const lanes: Lane[] = [];
  const server = await startScriptedServer((metadata) => {
    const id = String(metadata[":authority"]);
    const lane = lanes.find(({ config }) => config.id === id);
    return {
      script: scaled(lane?.scenario.script ?? {}),
      onEvent: (_event, call) => {
        calls.set(id, call);
        if (lane) lane.upstream.activity.lastMs = performance.now();
      },
    };
  });
  try {
    lanes.push(...(await openLanes(scenarios, server)));
    const bootstrap = differentialBootstrap(
      lanes.map(({ config }) => config),
      { accessLogFile, timeScale: TIME_SCALE },
    );
    const envoy = await startEnvoy({ binary, bootstrap });
    try {
      return await runLanes(envoy, lanes, { calls, accessLogFile });
    } catch (cause) {
      throw new Error(`Envoy failed (${JSON.stringify(envoy.log())})`, { cause });
    } finally {
      await envoy.stop();
    }
  } finally {
    for (const { upstream } of lanes) upstream.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function openLanes(scenarios: readonly Scenario[], server: ScriptedServer): Promise<Lane[]> {
  return Promise.all(
    scenarios.map(async (scenario, index): Promise<Lane> => {
      const exchange = scenarioExchange(scenario);
      const upstream = await startRealUpstream(exchange);
      const config: EnvoyLane = {
        id: `s${index}`,
        settings: scenario.settings ?? {},
        protocol: scenario.protocol ?? "http1",
        hasTunnel: tunnelPlan(exchange).isAsked,
        routes: scenario.routes ?? [{ name: "default" }],
        dynamicMetadata: scenario.dynamicMetadata ?? {},
        namespaces: namespacesOf(scenario),
        upstreamPort: upstream.port,
        serverPort: scenario.server === "down" ? NOWHERE_PORT : server.port,
      };
      return { config, scenario, exchange, upstream };
    }),
  );
}

async function runLanes(
  envoy: EnvoyProcess,
  lanes: readonly Lane[],
  { calls, accessLogFile }: { calls: ReadonlyMap<string, ScriptedCall>; accessLogFile: string },
): Promise<readonly HttpReport[]> {
  const ports = await listenerPorts(envoy);
  const played = new Map<string, RealExchange>();
  const waiting = [...lanes];
  const work = async () => {
    for (let lane = waiting.shift(); lane !== undefined; lane = waiting.shift()) {
      const { id } = lane.config;
      const port = ports.get(id) ?? 0;
      played.set(id, await playExchange(lane.exchange, { port, upstream: lane.upstream, call: () => calls.get(id) }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const counters = await settledCounters(envoy);
  const log = await readAccessLog(envoy, accessLogFile, lanes.length);
  return lanes.map(({ config: { id } }) => {
    const exchange = played.get(id);
    if (exchange === undefined) throw new Error(`${id} has not run`);
    return realOutcome(exchange, { counters: counters.get(id) ?? {}, log: log.get(id) });
  });
}

async function listenerPorts({ adminPort }: EnvoyProcess): Promise<Map<string, number>> {
  type Status = { name: string; local_address: { socket_address: { port_value: number } } };
  const answer = await fetch(`http://127.0.0.1:${adminPort}/listeners?format=json`);
  const { listener_statuses: statuses } = (await answer.json()) as { listener_statuses: Status[] };
  return new Map(statuses.map(({ name, local_address: address }) => [name, address.socket_address.port_value]));
}

/** The filter's counters by listener, once two looks at them agree. */
async function settledCounters({ adminPort }: EnvoyProcess): Promise<Map<string, Record<string, number>>> {
  const giveUpMs = performance.now() + MAX_SETTLE_MS;
  const look = async () => (await fetch(`http://127.0.0.1:${adminPort}/stats?filter=ext_proc`)).text();
  let text = await look();
  for (;;) {
    await delay(SETTLE_MS);
    const next = await look();
    if (next === text || performance.now() > giveUpMs) break;
    text = next;
  }
  const counters = new Map<string, Record<string, number>>();
  for (const [, id = "", name = "", value = ""] of text.matchAll(/^http\.(\w+)\.ext_proc\.(\w+): (\d+)$/gm)) {
    const known = counters.get(id) ?? {};
    known[name] = Number(value);
    counters.set(id, known);
  }
  return counters;
}

/** The access log by listener. Envoy writes it out when it is told to open it again. */
async function readAccessLog(
  { adminPort }: EnvoyProcess,
  file: string,
  lines: number,
): Promise<Map<string, AccessLogLine>> {
  const giveUpMs = performance.now() + MAX_SETTLE_MS;
  for (;;) {
    await fetch(`http://127.0.0.1:${adminPort}/reopen_logs`, { method: "POST" });
    const text = await readFile(file, "utf8").catch(() => "");
    const complete = text.split("\n").slice(0, -1);
    if (complete.length >= lines || performance.now() > giveUpMs) {
      return new Map(complete.map((line) => JSON.parse(line) as AccessLogLine).map((line) => [line.id, line]));
    }
    await delay(SETTLE_MS);
  }
}

/** The script with real times. */
function scaled(script: Script): Script {
  return { ...script, rules: script.rules?.map((rule) => ({ ...rule, do: rule.do.map(realTime) })) };
}

function realTime(action: Action): Action {
  if (typeof action !== "object") return action;
  if ("waitMs" in action) return { waitMs: action.waitMs * TIME_SCALE };
  if (!("send" in action) || typeof action.send !== "object" || action.send === null) return action;
  if (Array.isArray(action.send) || typeof action.send.overrideMessageTimeout !== "string") return action;
  const seconds = Number.parseFloat(action.send.overrideMessageTimeout) * TIME_SCALE;
  return { send: { ...action.send, overrideMessageTimeout: `${seconds}s` } };
}
