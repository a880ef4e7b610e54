import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Scenario, ScenarioHeader, ScenarioMessage } from "../scenarios/scenario.ts";
import { Random } from "./random.ts";
import { randomScript } from "./random-script.ts";
import { randomSettings } from "./random-settings.ts";

/** Far more than there are scenarios of one seed, so that no two seeds share one. */
const SEED_STRIDE = 1_000_003;

/** The scenario with this number of a seed: always the same. */
export function randomScenario(seed: number, index: number, version: EnvoyVersion): Scenario {
  const random = new Random(seed * SEED_STRIDE + index);
  const protocol = random.chance(0.3) ? "http2" : undefined;
  const body = (): ScenarioMessage => randomMessage(random, protocol === "http2");
  const request = { ...body(), path: random.pick(["/", "/old", "/a?b=c"]) };
  const scenario: Scenario = {
    name: `random ${seed}.${index}`,
    settings: randomSettings(random, version),
    protocol,
    request: { ...request, headers: [...(request.headers ?? []), ...randomHeaders(random, REQUEST_LINES)] },
    response: {
      ...withLines(body(), randomHeaders(random, RESPONSE_LINES)),
      status: random.maybe(0.3, () => random.pick([201, 204, 404, 500])),
    },
    dynamicMetadata: random.maybe(0.2, () => ({ known: { user: "x" } })),
    script: randomScript(random, version),
  };
  const status = scenario.response?.status;
  const bodyless = status === 204 ? { ...scenario, response: { status } } : scenario;
  return JSON.parse(JSON.stringify(bodyless)) as Scenario;
}

const REQUEST_LINES: readonly [ScenarioHeader, ...ScenarioHeader[]] = [
  ["x-old", "1"],
  ["x-old", "2"],
  ["x-gone", "bye"],
  ["x-envoy-a", "client"],
  ["cookie", "a=b"],
];
const RESPONSE_LINES: readonly [ScenarioHeader, ...ScenarioHeader[]] = [
  ["x-old", "1"],
  ["set-cookie", "a=1"],
  ["set-cookie", "b=2"],
  ["x-gone", "bye"],
];

function randomHeaders(random: Random, lines: readonly [ScenarioHeader, ...ScenarioHeader[]]): ScenarioHeader[] {
  return random.chance(0.6) ? random.some(3, () => random.pick(lines)) : [];
}

function withLines(message: ScenarioMessage, lines: readonly ScenarioHeader[]): ScenarioMessage {
  return { ...message, headers: [...(message.headers ?? []), ...lines] };
}

function randomMessage(random: Random, http2: boolean): ScenarioMessage {
  if (random.chance(0.35)) return {};
  const chunks = random.some(3, () => random.pick(["a", "chunk ", "0123456789"]));
  const trailers = random.maybe(0.25, (): ScenarioHeader[] => [["x-trailer", "sent"]]);
  const length = chunks.join("").length;
  const hasLength = random.chance(0.4) && (http2 || trailers === undefined);
  return {
    headers: hasLength ? [["content-length", String(length)]] : [],
    chunks,
    chunkIntervalMs: random.chance(0.7) ? 10 : undefined,
    emptyEnd: http2 && trailers === undefined ? random.maybe(0.3, () => true) : undefined,
    trailers,
  };
}
