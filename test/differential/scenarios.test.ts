import { beforeAll, describe, expect, test } from "vitest";
import { envoyBinary } from "../envoy/envoy-rig.ts";
import { loadScenarios, runsOn } from "../scenarios/load-scenarios.ts";
import { describeDifferences } from "./differences.ts";
import { envoyRelease } from "./envoy-release.ts";
import { type Compared, describeFlaky, runBoth } from "./run-both.ts";

const RUN_MS = 170_000;

const binary = envoyBinary ?? "";
const version = envoyBinary === undefined ? "1.40" : envoyRelease(binary);
/** Only this topic, a file of test/scenarios without its ending. Default: all. */
const onlyTopic = process.env.EXT_PROC_DIFFERENTIAL_TOPIC;
const chosen = loadScenarios().filter(({ topic }) => onlyTopic === undefined || topic === onlyTopic);
const topics = chosen.map(({ topic, scenarios }) => ({
  topic,
  scenarios: scenarios.filter((scenario) => runsOn(scenario, version)),
}));
const compared = new Map<string, Compared>();

describe.skipIf(envoyBinary === undefined)(`the simulator does what Envoy ${version} does`, () => {
  beforeAll(async () => {
    const all = topics.flatMap(({ scenarios }) => scenarios);
    const results = await runBoth(all, { binary, version });
    for (const result of results) compared.set(result.scenario.name, result);
    process.stderr.write(describeFlaky(results));
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
