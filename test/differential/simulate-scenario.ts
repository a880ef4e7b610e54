import type { ExtProcServer } from "../../src/simulator/filter/ext-proc-server.ts";
import type { HttpReport } from "../../src/simulator/report/report.ts";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { simulateWith } from "../../src/simulator/simulate-with.ts";
import { type Scenario, scenarioExchange } from "../scenarios/scenario.ts";
import { scriptServer } from "./script-server.ts";

/** Nothing listens where the server should be. */
const unreachable: ExtProcServer = {
  open(stream) {
    stream.after(0, () => stream.reset());
    return { message() {}, halfClose() {}, reset() {} };
  },
};

/** A scenario in the simulator. */
export function simulateScenario(scenario: Scenario, envoyVersion: EnvoyVersion): HttpReport {
  const server = scenario.server === "down" ? unreachable : scriptServer(scenario.script ?? {});
  return simulateWith(server, { ...scenario.settings, envoyVersion }, scenarioExchange(scenario));
}
