import { definitionsOf, isProcessor, type Processor } from "../processor/definition.ts";
import { runRules } from "../processor/run-rules.ts";
import { settingsOnRoute } from "../simulator/settings/simulated-envoy-settings.ts";
import { checkOperator, checkSettings } from "./check-settings.ts";
import { driveTransaction } from "./drive-transaction.ts";
import { checkProperties } from "./known-properties.ts";
import { ProcessorLife } from "./processor-life.ts";
import { ProcessorServer } from "./processor-server.ts";
import { patienceMsOf, SIMULATE_OPTIONS, type SimulateOptions } from "./simulate-options.ts";
import { type SimulatedEnvoy, simulatedEnvoy } from "./simulated-envoy.ts";
import { simulatedTransaction } from "./simulated-transaction.ts";
import { watchEffects } from "./unreturned-effects.ts";

/**
 * Makes a simulated Envoy in front of a processor, with Envoy's own rules, but without sockets and gRPC. The
 * processor's `setup` runs once, before the first request. If it is not done or failed, requests get a `not_ready`
 * fault.
 *
 * @example
 * ```ts
 * const { request, response, warnings } = await simulate(greeter).get("/", { headers: { "x-user": "ada" } });
 * expect(request?.headers).toMatchObject({ "x-greeting": "hello ada" });
 * expect(response.status).toBe(200);
 * expect(warnings).toEqual([]);
 * ```
 * @throws {TypeError} If it is not a processor, or an option is unknown or has an invalid value.
 */
export function simulate(processor: Processor, options: SimulateOptions = {}): SimulatedEnvoy {
  if (!isProcessor(processor)) {
    throw new TypeError("simulate: the first argument is not a processor; make one with defineProcessor");
  }
  checkProperties("options", options, SIMULATE_OPTIONS);
  const { operator = {}, envoy = {} } = options;
  checkSettings(envoy);
  checkOperator(operator, definitionsOf(processor));
  const rules = runRules(processor, { ...operator, envoy: operator.envoy ?? settingsOnRoute(envoy) });
  const life = new ProcessorLife(rules, patienceMsOf(options));
  return simulatedEnvoy(options, {
    async drive(transaction) {
      await life.begin();
      const server = new ProcessorServer(processor, { rules, setup: life.setup });
      const { result, warnings } = await watchEffects(() => driveTransaction(server, transaction));
      return simulatedTransaction(result, server, warnings);
    },
    close: () => life.setup.close(),
  });
}
