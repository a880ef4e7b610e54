import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Processor } from "../../src/processor/definition.ts";
import { simulate } from "../../src/testing.ts";
import { filterConfig } from "../differential/filter-config.ts";
import { fixture } from "../fixtures/fixture.ts";
import markingModule from "../fixtures/marking.js";
import { loadScenarios } from "../scenarios/load-scenarios.ts";
import type { Scenario, ScenarioHeader, ScenarioMessage } from "../scenarios/scenario.ts";
import { runBinary } from "../server/spawn-binary.ts";
import { type StartedServer, startServer } from "../server/start-server.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type SceneInit, startScenes } from "./rows/scene.ts";
import { served } from "./rows/served.ts";

/** The command loads it with the built library, the others with its source. */
const marking = markingModule as unknown as Processor;

/** What every way has to agree on. */
interface Seen {
  readonly upstream: { method: string; path: string; headers: Record<string, string>; body: string } | undefined;
  readonly client: { status: number | undefined; headers: Record<string, string>; body: string };
}

const SETTINGS = ["processingMode", "failureModeAllow"];
/** Headers that Envoy, its peers or a transport add, or that depend on how a body is framed. */
const PASSING =
  /^(?:host|connection|keep-alive|transfer-encoding|content-length|date|server|x-forwarded-proto|x-request-id|x-envoy-.*|x-upstream)$/;
/** The command is started again for each, so it runs only some of them. */
const COMMAND_PLAYS_EVERY = 6;

const scenarios = sample();

/** Scenarios of the table that can be said in the readable form and by a plain HTTP/1 client; each exchange once. */
function sample(): Scenario[] {
  // The client of this test cannot open tunnels.
  const isPlain = (message: ScenarioMessage = {}) =>
    Object.keys(message).every((key) => ["method", "path", "status", "headers", "chunks"].includes(key)) &&
    (message.chunks ?? []).length <= 1 &&
    [...(message.chunks ?? []), ...(message.headers ?? []).flat()].every((text) => typeof text === "string") &&
    (message.headers ?? []).every(([name]) => !/^(?:x-envoy-.*|cookie|upgrade)$/.test(name));
  const found = new Map<string, Scenario>();
  for (const scenario of loadScenarios().flatMap((topic) => topic.scenarios)) {
    const {
      name: _,
      script: _script,
      only,
      server,
      protocol = "http1",
      settings,
      request,
      response,
      ...others
    } = scenario;
    const isSaid = Object.keys(others).length === 0 && only === undefined && server !== "down" && protocol === "http1";
    const isKnown = Object.keys(settings ?? {}).every((setting) => SETTINGS.includes(setting));
    const key = JSON.stringify([settings, request, response]);
    if (isSaid && isKnown && isPlain(request) && isPlain(response) && !found.has(key)) found.set(key, scenario);
  }
  return [...found.values()];
}

/** A scenario in the JSON of DebugService.Simulate. */
function exchangeOf({ settings, request = {}, response = {} }: Scenario) {
  const message = ({ headers, chunks }: ScenarioMessage) => ({ headers: headerObject(headers), body: chunks?.[0] });
  const { method, path } = request;
  const { status } = response;
  const envoy = { ...settings, messageTimeoutMs: 5000 };
  return { request: { method, path, ...message(request) }, upstream: { status, ...message(response) }, envoy };
}

function headerObject(lines: readonly ScenarioHeader[] = []): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of lines) headers[name] = [...(headers[name] ?? []), value as string];
  return headers;
}

/** Headers but for the passing ones, several values joined. */
function headersOf(headers: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => !PASSING.test(name));
  return Object.fromEntries(kept.map(([name, values]) => [name, [values].flat().join(", ")]));
}

type Json = Readonly<Record<string, never>>;

function ofJson({ upstreamRequest, clientResponse }: { upstreamRequest?: Json; clientResponse: Json }): Seen {
  const { method, path, headers, body = "" } = upstreamRequest ?? ({} as Json);
  return {
    upstream: upstreamRequest && { method, path, headers: headersOf(headers), body },
    client: {
      status: clientResponse.status,
      headers: headersOf(clientResponse.headers),
      body: clientResponse.body ?? "",
    },
  } as Seen;
}

async function bySimulate(server: StartedServer, scenario: Scenario): Promise<Seen> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/extproc.debug.v1.DebugService/Simulate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(exchangeOf(scenario)),
  });
  return ofJson((await answer.json()) as never);
}

async function byCommand(scenario: Scenario): Promise<Seen> {
  const { request, upstream, envoy } = exchangeOf(scenario);
  const flags = [
    ...(request.method === undefined ? [] : ["-X", request.method]),
    ...Object.entries(request.headers).flatMap(([name, values]) =>
      values.flatMap((value) => ["-H", `${name}: ${value}`]),
    ),
    ...(request.body === undefined ? [] : ["-d", request.body as string]),
    ...(upstream.status === undefined ? [] : ["--upstream-status", String(upstream.status)]),
    ...Object.entries(upstream.headers).flatMap(([name, values]) =>
      values.flatMap((value) => ["--upstream-header", `${name}: ${value}`]),
    ),
    ...(upstream.body === undefined ? [] : ["--upstream-data", upstream.body as string]),
    ...Object.entries(envoy.processingMode ?? {}).flatMap(([field, mode]) => ["--mode", `${flagOf(field)}=${mode}`]),
    ...(envoy.failureModeAllow ? ["--envoy-failure-mode-allow"] : []),
  ];
  const { stdout } = await runBinary(["simulate", fixture("marking.js"), request.path ?? "/", ...flags, "--json"]);
  return ofJson(JSON.parse(stdout));
}

/** `requestHeaderMode` is `request-headers`. */
function flagOf(field: string): string {
  const flag = field.replace(/Mode$/, "").replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
  return flag.endsWith("body") ? flag : `${flag}s`;
}

async function byTesting(scenario: Scenario): Promise<Seen> {
  const { request, upstream, envoy } = exchangeOf(scenario);
  const played = await simulate(marking, { envoy, upstream: upstream as never }).send(request as never);
  return {
    upstream: played.request && {
      method: played.request.method,
      path: played.request.path,
      headers: headersOf(played.request.headers),
      body: played.request.body,
    },
    client: {
      status: played.response.status,
      headers: headersOf(played.response.headers),
      body: played.response.body,
    },
  };
}

function sceneInit({ settings = {}, response = {} }: Scenario): SceneInit {
  const target = { cluster: "", authority: "" };
  const { grpc_service: _, ...filter } = filterConfig({ ...settings, messageTimeoutMs: 5000 }, target, 1);
  return {
    server: served(marking),
    filter,
    respond(reply) {
      reply.statusCode = response.status ?? 200;
      for (const [name, values] of Object.entries(headerObject(response.headers))) reply.setHeader(name, values);
      reply.end(response.chunks?.[0]);
    },
  };
}

async function byEnvoy(running: RunningScenes, index: number): Promise<Seen> {
  const { request } = exchangeOf(scenarios[index] as Scenario);
  const scene = running.scenes.get(`scene_${index}`);
  const { method = request.body === undefined ? "GET" : "POST", path, headers, body } = request;
  const init = { method, headers, ...(path && { path }), ...(body !== undefined && { body: body as string }) };
  const outcome = await scene?.send(init);
  const got = scene?.upstream[0];
  return {
    upstream: got && { method: got.method, path: got.path, headers: headersOf(got.headers), body: got.body },
    client: {
      status: outcome?.status,
      headers: headersOf(outcome?.headers),
      body: outcome?.body ?? "",
    },
  };
}

describe("the same exchange", () => {
  let server: StartedServer | undefined;
  let running: RunningScenes | undefined;
  beforeAll(async () => {
    server = await startServer(marking, { debug: "on", debugLimits: { maxCallsPerSecond: 1000 } });
    if (envoyBinary === undefined) return;
    running = await startScenes(new Map(scenarios.map((scenario, index) => [`scene_${index}`, sceneInit(scenario)])));
  }, 60_000);
  afterAll(async () => {
    await running?.stop();
    await server?.server.close();
  });

  test("the exchanges are taken from many scenarios of the table", () => {
    expect(scenarios.length).toBeGreaterThan(25);
  });

  for (const [index, scenario] of scenarios.entries()) {
    const { settings, request, response } = scenario;
    test(`comes to the same everywhere: ${JSON.stringify({ settings, request, response })}`, async () => {
      const seen = await byTesting(scenario);
      expect(await bySimulate(server as StartedServer, scenario)).toEqual(seen);
      if (index % COMMAND_PLAYS_EVERY === 0) expect(await byCommand(scenario)).toEqual(seen);
      if (running !== undefined) expect(await byEnvoy(running, index)).toEqual(seen);
    });
  }
});
