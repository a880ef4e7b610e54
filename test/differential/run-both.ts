import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Scenario } from "../scenarios/scenario.ts";
import { type Difference, describeDifferences, differences } from "./differences.ts";
import { runOnEnvoy } from "./run-on-envoy.ts";
import { simulateScenario } from "./simulate-scenario.ts";

/** Listeners and clusters of one Envoy process: more of them, and it starts too slowly. */
const BATCH = 300;

/** Which Envoy, and what it is called. */
export interface EnvoyUnderTest {
  readonly binary: string;
  readonly version: EnvoyVersion;
}

/** The result of the comparison of one scenario. */
export interface Compared {
  readonly scenario: Scenario;
  readonly differences: readonly Difference[];
  /** What differed at first, and no longer when it was run again: a race of the harness, or of Envoy itself. */
  readonly flaky: readonly Difference[];
}

/**
 * Runs scenarios on a real Envoy and on the simulator. What differs is run a second time, alone with its like, and
 * differs only if it does so both times.
 */
export async function runBoth(
  scenarios: readonly Scenario[],
  { binary, version }: EnvoyUnderTest,
): Promise<readonly Compared[]> {
  const first = await compareAll(scenarios, { binary, version });
  const suspects = first.filter((compared) => compared.differences.length > 0);
  if (suspects.length === 0) return first;
  const second = await compareAll(
    suspects.map(({ scenario }) => scenario),
    { binary, version },
  );
  const again = new Map(second.map((compared) => [compared.scenario, compared]));
  return first.map((compared) => {
    const repeated = again.get(compared.scenario);
    if (repeated === undefined) return compared;
    return repeated.differences.length > 0 ? repeated : { ...repeated, flaky: compared.differences };
  });
}

/** What had to be run again, a line each; empty if nothing had. */
export function describeFlaky(compared: readonly Compared[]): string {
  return compared
    .filter(({ flaky }) => flaky.length > 0)
    .map(({ scenario, flaky }) => `ran again: ${scenario.name} (${describeDifferences(flaky).join("; ")})\n`)
    .join("");
}

async function compareAll(
  scenarios: readonly Scenario[],
  { binary, version }: EnvoyUnderTest,
): Promise<readonly Compared[]> {
  const compared: Compared[] = [];
  for (let start = 0; start < scenarios.length; start += BATCH) {
    const batch = scenarios.slice(start, start + BATCH);
    const outcomes = await runOnEnvoy(binary, batch);
    for (const [index, scenario] of batch.entries()) {
      const envoy = outcomes[index];
      if (envoy === undefined) throw new Error(`${scenario.name} has no outcome`);
      const simulated = simulateScenario(scenario, version);
      compared.push({ scenario, differences: differences(scenario, { simulated, envoy }, version), flaky: [] });
    }
  }
  return compared;
}
