import { beforeAll, describe, expect, test } from "vitest";
import { envoyBinary } from "../envoy/envoy-rig.ts";
import { loadScenarios, runsOn } from "../scenarios/load-scenarios.ts";
import { describeDifferences } from "./differences.ts";
import { envoyRelease } from "./envoy-release.ts";
import { type Compared, runBoth } from "./run-both.ts";

const RUN_MS = 170_000;

const binary = envoyBinary ?? "";
const version = envoyBinary === undefined ? "1.40" : envoyRelease(binary);
const topics = loadScenarios().map(({ topic, scenarios }) => ({
  topic,
  scenarios: scenarios.filter((scenario) => runsOn(scenario, version)),
}));
const compared = new Map<string, Compared>();

describe.skipIf(envoyBinary === undefined)(`the simulator does what Envoy ${version} does`, () => {
  beforeAll(async () => {
    const all = topics.flatMap(({ scenarios }) => scenarios);
    for (const result of await runBoth(all, { binary, version })) compared.set(result.scenario.name, result);
    const flaky = [...compared.values()].filter((result) => result.flaky).map(({ scenario }) => scenario.name);
    if (flaky.length > 0) process.stderr.write(`ran again: ${flaky.join("; ")}\n`);
  }, RUN_MS);

  for (const { topic, scenarios } of topics) {
    describe(topic, () => {
      for (const { name } of scenarios) {
        test(name, () => {
          const result = compared.get(name);
          expect(result && describeDifferences(result.differences)).toEqual([]);
        });
      }
    });
  }
});
