import type { ExtProcPeer } from "../../src/simulator/filter/ext-proc-peer.ts";
import type { HttpOutcome } from "../../src/simulator/outcome/outcome.ts";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { simulateWith } from "../../src/simulator/simulate-with.ts";
import { type Scenario, scenarioExchange } from "../scenarios/scenario.ts";
import { scriptPeer } from "./script-peer.ts";

/** Nothing listens where the server should be. */
const nobody: ExtProcPeer = {
  open(stream) {
    stream.after(0, () => stream.reset());
    return { message() {}, halfClose() {}, reset() {} };
  },
};

/** A scenario in the simulator. */
export function simulateScenario(scenario: Scenario, envoyVersion: EnvoyVersion): HttpOutcome {
  const peer = scenario.server === "down" ? nobody : scriptPeer(scenario.script ?? {});
  return simulateWith(peer, { ...scenario.settings, envoyVersion }, scenarioExchange(scenario));
}
