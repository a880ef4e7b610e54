import type {
  FilterSettings,
  MutationRules,
  PerRouteSettings,
  ProcessingModeSettings,
} from "../simulator/filter-settings.ts";
import { checkProperties, type PropertiesOf } from "./known-properties.ts";

const SETTINGS: PropertiesOf<FilterSettings> = {
  envoyVersion: true,
  processingMode: true,
  failureModeAllow: true,
  messageTimeoutMs: true,
  maxMessageTimeoutMs: true,
  allowModeOverride: true,
  allowedOverrideModes: true,
  mutationRules: true,
  forwardRules: true,
  statusOnError: true,
  observabilityMode: true,
  deferredCloseTimeoutMs: true,
  disableImmediateResponse: true,
  routeCacheAction: true,
  disableClearRouteCache: true,
  metadataOptions: true,
  requestAttributes: true,
  responseAttributes: true,
  sendBodyWithoutWaitingForHeaderResponse: true,
  allowContentLengthHeader: true,
  grpcInitialMetadata: true,
  perRoute: true,
  bufferLimitBytes: true,
  streamIdleTimeoutMs: true,
  routeTimeoutMs: true,
};
const PER_ROUTE: PropertiesOf<PerRouteSettings> = {
  disabled: true,
  processingMode: true,
  metadataOptions: true,
  grpcInitialMetadata: true,
  failureModeAllow: true,
};
const MUTATION_RULES: PropertiesOf<MutationRules> = {
  allowAllRouting: true,
  allowEnvoy: true,
  disallowSystem: true,
  disallowAll: true,
  allowExpression: true,
  disallowExpression: true,
  disallowIsError: true,
};
const SEND_MODES = ["DEFAULT", "SEND", "SKIP"];
const BODY_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"];
const MODES: PropertiesOf<ProcessingModeSettings> = {
  requestHeaderMode: true,
  responseHeaderMode: true,
  requestBodyMode: true,
  responseBodyMode: true,
  requestTrailerMode: true,
  responseTrailerMode: true,
};
const VERSIONS = ["1.36", "1.38", "1.39", "1.40"];

/**
 * Refuses settings of Envoy that are misspelled, which would leave it at its defaults.
 *
 * @throws {TypeError} Naming the setting, and what there is.
 */
export function checkSettings(settings: FilterSettings): void {
  checkProperties("options.envoy", settings, SETTINGS);
  const { envoyVersion, processingMode, perRoute, mutationRules, allowedOverrideModes = [] } = settings;
  oneOf("options.envoy.envoyVersion", envoyVersion, VERSIONS);
  if (processingMode) checkModes("options.envoy.processingMode", processingMode);
  if (mutationRules) checkProperties("options.envoy.mutationRules", mutationRules, MUTATION_RULES);
  for (const [index, mode] of allowedOverrideModes.entries()) {
    checkModes(`options.envoy.allowedOverrideModes[${index}]`, mode);
  }
  if (perRoute) checkProperties("options.envoy.perRoute", perRoute, PER_ROUTE);
  if (perRoute?.processingMode) checkModes("options.envoy.perRoute.processingMode", perRoute.processingMode);
}

function checkModes(where: string, modes: ProcessingModeSettings): void {
  checkProperties(where, modes, MODES);
  for (const [name, mode] of Object.entries(modes)) {
    oneOf(`${where}.${name}`, mode, name.endsWith("BodyMode") ? BODY_MODES : SEND_MODES);
  }
}

/**
 * Refuses a value that is none of these; undefined is fine.
 *
 * @throws {TypeError} Naming them.
 */
export function oneOf(where: string, value: unknown, values: readonly string[]): void {
  if (value === undefined || values.some((candidate) => candidate === value)) return;
  throw new TypeError(`${where}: ${JSON.stringify(value)} must be one of ${values.join(", ")}`);
}
