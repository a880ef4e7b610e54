import { describe, expect, test } from "vitest";
import { envoyBinary } from "../envoy/envoy-rig.ts";
import { describeDifferences } from "./differences.ts";
import { envoyRelease } from "./envoy-release.ts";
import { randomScenario } from "./random-scenario.ts";
import { describeFlaky, runBoth } from "./run-both.ts";
import { printScenario, shrink } from "./shrink.ts";

const { EXT_PROC_DIFFERENTIAL_RANDOM: count = "100", EXT_PROC_DIFFERENTIAL_SEED: seed = "1" } = process.env;
const MS_EACH = 1000;
/** The first ones tell enough, and shrinking takes its time. */
const MAX_SHOWN = 3;
const SHRINK_MS = 120_000;

describe.skipIf(envoyBinary === undefined)("random scenarios", () => {
  test(
    `${count} of seed ${seed} end alike in the simulator and in Envoy`,
    async () => {
      const binary = envoyBinary ?? "";
      const version = envoyRelease(binary);
      const scenarios = Array.from({ length: Number(count) }, (_, index) =>
        randomScenario(Number(seed), index, version),
      );
      const compared = await runBoth(scenarios, { binary, version });
      process.stderr.write(describeFlaky(compared));
      const failed = compared.filter(({ differences }) => differences.length > 0);
      const shown = [];
      for (const result of failed.slice(0, MAX_SHOWN)) {
        const { scenario, differences } = await shrink(result, { binary, version });
        shown.push({
          name: scenario.name,
          scenario: printScenario(scenario),
          differences: describeDifferences(differences),
        });
      }
      expect({ failed: failed.map(({ scenario }) => scenario.name), shown }).toEqual({ failed: [], shown: [] });
    },
    60_000 + Number(count) * MS_EACH + SHRINK_MS,
  );
});

describe("randomScenario", () => {
  test("randomScenario makes the same scenario from the same seed and number", () => {
    expect(randomScenario(7, 3, "1.40")).toEqual(randomScenario(7, 3, "1.40"));
  });

  test("randomScenario makes another scenario from another seed or number", () => {
    const scripts = [randomScenario(7, 3, "1.40"), randomScenario(7, 4, "1.40"), randomScenario(8, 3, "1.40")];
    expect(new Set(scripts.map(printScenario)).size).toBe(3);
  });
});
