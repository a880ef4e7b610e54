import type { JsonValue } from "@bufbuild/protobuf";
import { isProcessor, type FaultPolicy, type Processor } from "../processor/definition.ts";
import { type ProcessorOverride, runRules } from "../processor/run-rules.ts";
import { ProcessorSetup } from "../processor/setup.ts";
import { declareEnvoy, type EnvoyDeclarationInit } from "../protocol/envoy-declaration.ts";
import type { Fault } from "../protocol/fault.ts";
import type { FilterSettings } from "../simulator/filter-settings.ts";
import type { VirtualRoute } from "../simulator/http-exchange.ts";
import { declaredSettings } from "./declared-settings.ts";
import { checkProperties, type PropertiesOf } from "./known-properties.ts";
import { processorPeer } from "./processor-peer.ts";
import type { SimulatedRequest, SimulatedRequestLine, SimulatedUpstream } from "./simulated-request.ts";
import type { SimulatedTransaction } from "./simulated-transaction.ts";

/** How Envoy, its upstream, and the operator are. */
export interface SimulateOptions extends EnvoyOptions {
  /** What the operator of the server says. Default: what is true of `envoy`, and nothing else. */
  readonly operator?: OperatorOptions | undefined;
}

/** How Envoy and its upstream are. */
export interface EnvoyOptions {
  /** Envoy's filter, and its release (`envoyVersion`). Default: Envoy 1.40 with its own defaults, which sends headers only. */
  readonly envoy?: FilterSettings | undefined;
  /** What the upstream answers, or a function of the request. Default: 200 without a body. */
  readonly upstream?: SimulatedUpstream | undefined;
  /** The route's configuration of the processor, sent as `x-ext-proc-config`. Default: none. */
  readonly config?: JsonValue | undefined;
  /** Routes in order; the first that matches wins. Default: one, named `default`. */
  readonly routes?: readonly VirtualRoute[] | undefined;
  /**
   * The simulated clock stands while a handler is at work, for so many milliseconds of real time; then it goes on, and the
   * handler meets its time-out. Default 1000.
   */
  readonly patienceMs?: number | undefined;
}

/** What an operator may say, as in the configuration file. */
export interface OperatorOptions {
  /** The declaration of Envoy's side. What it leaves out is declared to be Envoy's default. */
  readonly envoy?: EnvoyDeclarationInit | undefined;
  /** The loosest fault policy that is allowed. Default `open`, which allows all. */
  readonly onFault?: FaultPolicy | undefined;
  /** Handlers run, and everything passes unchanged. Default false. */
  readonly shadow?: boolean | undefined;
  /** Of single processors, by name. */
  readonly processors?: Readonly<Record<string, ProcessorOverride>> | undefined;
}

const OPERATOR: PropertiesOf<OperatorOptions> = { envoy: true, onFault: true, shadow: true, processors: true };
const ENVOY: PropertiesOf<EnvoyOptions> = { envoy: true, upstream: true, config: true, routes: true, patienceMs: true };

/**
 * A simulated Envoy in front of a processor: no sockets, no gRPC, Envoy's own rules. The processor's `setup` runs before the
 * first request; where it is rejected, requests get fault `not_ready`.
 *
 * @example
 * ```ts
 * const { request, response, warnings } = await simulate(greeter).get("/", { headers: { "x-user": "ada" } });
 * expect(request?.headers).toMatchObject({ "x-greeting": "hello ada" });
 * expect(response.status).toBe(200);
 * expect(warnings).toEqual([]);
 * ```
 * @throws {TypeError} Where it is no processor, or an option is unknown.
 */
export function simulate(processor: Processor, options: SimulateOptions = {}): SimulatedEnvoy {
  if (!isProcessor(processor)) {
    throw new TypeError("simulate: the first argument is no processor; make one with defineProcessor");
  }
  checkProperties("options", options, { ...ENVOY, operator: true } satisfies PropertiesOf<SimulateOptions>);
  const { operator = {}, patienceMs = DEFAULT_PATIENCE_MS } = options;
  checkProperties("options.operator", operator, OPERATOR);
  const { envoy, ...operatorRules } = operator;
  const declaration = envoy ? declareEnvoy(envoy) : declaredSettings(options.envoy ?? {});
  const rules = runRules(processor, { ...operatorRules, declaration });
  const setup = new ProcessorSetup(rules, SILENT);
  let settingUp: Promise<void> | undefined;
  const send = async (request: SimulatedRequestLine): Promise<SimulatedTransaction> => {
    const exchange = simulatedExchange(request, options);
    settingUp ??= setUp(setup, patienceMs);
    await settingUp;
    const peer = new ProcessorPeer(processor, { rules, setup });
    return simulatedTransaction(await driveTransaction(peer, { ...exchange, patienceMs }), peer.faults);
  };
  return simulatedEnvoy(send, () => setup.close());
}
