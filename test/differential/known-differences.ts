import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Scenario } from "../scenarios/scenario.ts";

/** Something that the simulator does otherwise than Envoy, and why that is left so. */
export interface KnownDifference {
  readonly reason: string;
  readonly applies: (scenario: Scenario, version: EnvoyVersion) => boolean;
  /** Beginnings of the paths that may differ. */
  readonly paths: readonly string[];
}

/** All of them; at most five. */
export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [];
