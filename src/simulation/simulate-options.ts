import type { JsonValue } from "@bufbuild/protobuf";
import type { OperatorOptions } from "../processor/run-rules.ts";
import type { VirtualRoute } from "../simulator/http/http-exchange.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";
import type { PropertiesOf } from "./known-properties.ts";
import type { SimulatedUpstream } from "./simulated-request.ts";

/** The options of Envoy, its upstream, and the operator. */
export interface SimulateOptions extends EnvoyOptions {
  /** The operator's settings of the server. Default: the settings in `envoy` are declared, and nothing else is set. */
  readonly operator?: OperatorOptions | undefined;
}

/** The options of Envoy and its upstream. */
export interface EnvoyOptions {
  /** Envoy's filter, and its release (`envoyVersion`). Default: Envoy 1.40 with its own defaults, which sends headers only. */
  readonly envoy?: SimulatedEnvoySettings | undefined;
  /** The upstream's response, or a function of the request. Default: 200 without a body. */
  readonly upstream?: SimulatedUpstream | undefined;
  /** The route's configuration, sent as `x-ext-proc-config`: plain, or keyed by the processor's name. Default: none. */
  readonly config?: JsonValue | undefined;
  /** Routes in order; the first one that matches is selected. Default: one, named `default`. */
  readonly routes?: readonly VirtualRoute[] | undefined;
  /**
   * The simulated clock stops while a handler runs, for at most this many milliseconds of real time. Then it continues,
   * and the handler times out. Default: 1000.
   */
  readonly patienceMs?: number | undefined;
}

/** Every property of {@link EnvoyOptions}. */
export const ENVOY_OPTIONS: PropertiesOf<EnvoyOptions> = {
  envoy: true,
  upstream: true,
  config: true,
  routes: true,
  patienceMs: true,
};

/** Every property of {@link SimulateOptions}. */
export const SIMULATE_OPTIONS: PropertiesOf<SimulateOptions> = { ...ENVOY_OPTIONS, operator: true };

/** Every property of {@link OperatorOptions}. */
export const OPERATOR_OPTIONS: PropertiesOf<OperatorOptions> = {
  envoy: true,
  onFault: true,
  shadow: true,
  processors: true,
};

const DEFAULT_PATIENCE_MS = 1000;

/** Returns how long to wait for a handler, in real milliseconds. */
export function patienceMsOf({ patienceMs = DEFAULT_PATIENCE_MS }: EnvoyOptions): number {
  if (typeof patienceMs === "number" && patienceMs >= 0) return patienceMs;
  throw new TypeError(`options.patienceMs: ${String(patienceMs)} must be a number of milliseconds, 0 or more`);
}
