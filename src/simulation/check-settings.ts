import { type AnyDefinition, FAULT_POLICIES } from "../processor/definition.ts";
import type { OperatorOptions } from "../processor/run-rules.ts";
import {
  BODY_SEND_MODES,
  type DeclaredEnvoySettings,
  HEADER_SEND_MODES,
  type MutationRules,
  type ProcessingModeSettings,
} from "../protocol/envoy-settings.ts";
import type {
  ForwardRules,
  MetadataNamespaces,
  MetadataOptions,
  PerRouteSettings,
  SimulatedEnvoySettings,
  StringMatcher,
} from "../simulator/settings/simulated-envoy-settings.ts";
import { checkProperties, type PropertiesOf } from "./known-properties.ts";
import { OPERATOR_OPTIONS } from "./simulate-options.ts";

/** Throws a TypeError that names `where` if the setting cannot have the value. */
type Check = (where: string, value: unknown) => void;

/** A check for each property of a type. The compiler requires all of them. */
type ChecksOf<T> = { readonly [K in keyof Required<T>]: Check };

const header = choice(HEADER_SEND_MODES);
const body = choice(BODY_SEND_MODES);

const modes = settingsOf<ProcessingModeSettings>({
  requestHeaderMode: header,
  responseHeaderMode: header,
  requestBodyMode: body,
  responseBodyMode: body,
  requestTrailerMode: header,
  responseTrailerMode: header,
});

const matcher = settingsOf<StringMatcher>({
  exact: text,
  prefix: text,
  suffix: text,
  contains: text,
  safeRegex: text,
  ignoreCase: toggle,
});

const namespaces = settingsOf<MetadataNamespaces>({ untyped: names, typed: names });
const metadataOptions = settingsOf<MetadataOptions>({
  forwardingNamespaces: namespaces,
  receivingNamespaces: namespaces,
});

const callMetadata: Check = (where, value) => {
  if (typeof value !== "object" || value === null)
    throw new TypeError(`${where}: must be an object of names and texts`);
  for (const [name, item] of Object.entries(value)) text(`${where}.${name}`, item);
};

const perRoute = settingsOf<PerRouteSettings>({
  disabled: toggle,
  processingMode: modes,
  metadataOptions,
  grpcInitialMetadata: callMetadata,
  failureModeAllow: toggle,
});

const filter = settingsOf<SimulatedEnvoySettings>({
  envoyVersion: choice(["1.36", "1.38", "1.39", "1.40"]),
  processingMode: modes,
  failureModeAllow: toggle,
  messageTimeoutMs: amount,
  maxMessageTimeoutMs: amount,
  allowModeOverride: toggle,
  allowedOverrideModes: listOf(modes, "a list of processing modes"),
  mutationRules: settingsOf<MutationRules>({
    allowAllRouting: toggle,
    allowEnvoy: toggle,
    disallowSystem: toggle,
    disallowAll: toggle,
    allowExpression: text,
    disallowExpression: text,
    disallowIsError: toggle,
  }),
  forwardRules: settingsOf<ForwardRules>({
    allowedHeaders: listOf(matcher, "a list of matchers"),
    disallowedHeaders: listOf(matcher, "a list of matchers"),
  }),
  statusOnError: amount,
  observabilityMode: toggle,
  deferredCloseTimeoutMs: amount,
  disableImmediateResponse: toggle,
  routeCacheAction: choice(["DEFAULT", "CLEAR", "RETAIN"]),
  disableClearRouteCache: toggle,
  metadataOptions,
  requestAttributes: names,
  responseAttributes: names,
  sendBodyWithoutWaitingForHeaderResponse: toggle,
  allowContentLengthHeader: toggle,
  grpcInitialMetadata: callMetadata,
  perRoute,
  bufferLimitBytes: amount,
  streamIdleTimeoutMs: amount,
  routeTimeoutMs: amount,
});

/**
 * Rejects settings of Envoy that are misspelled or of the wrong kind. Otherwise Envoy would silently use its defaults.
 *
 * @param where The name of the settings, for messages.
 * @throws {TypeError} Names the setting and the valid ones.
 */
export function checkSettings(settings: SimulatedEnvoySettings, where = "options.envoy"): void {
  filter(where, settings);
}

/**
 * Rejects a value that is not one of these; undefined is allowed.
 *
 * @throws {TypeError} Names the valid values.
 */
export function oneOf(where: string, value: unknown, values: readonly string[]): void {
  if (value === undefined || values.some((candidate) => candidate === value)) return;
  throw new TypeError(`${where}: ${JSON.stringify(value)} must be one of ${values.join(", ")}`);
}

function settingsOf<T>(checks: ChecksOf<T>): Check {
  const known = Object.fromEntries(Object.keys(checks).map((name) => [name, true] as const));
  return (where, value) => {
    checkProperties(where, value, known);
    for (const [name, item] of Object.entries(value as object)) {
      if (item !== undefined) checks[name as keyof T](`${where}.${name}`, item);
    }
  };
}

function choice(values: readonly string[]): Check {
  return (where, value) => oneOf(where, value, values);
}

function listOf(check: Check, what: string): Check {
  return (where, value) => {
    if (!Array.isArray(value)) throw new TypeError(`${where}: must be ${what}`);
    for (const [index, item] of value.entries()) check(`${where}[${index}]`, item);
  };
}

function names(where: string, value: unknown): void {
  listOf(text, "a list of names")(where, value);
}

function text(where: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`${where}: ${JSON.stringify(value)} must be a text`);
}

function toggle(where: string, value: unknown): void {
  if (typeof value !== "boolean") throw new TypeError(`${where}: ${JSON.stringify(value)} must be true or false`);
}

function amount(where: string, value: unknown): void {
  if (typeof value === "number" && value >= 0) return;
  throw new TypeError(`${where}: ${JSON.stringify(value)} must be a number, 0 or more`);
}

const DECLARATION: PropertiesOf<DeclaredEnvoySettings> = {
  messageTimeoutMs: true,
  maxMessageTimeoutMs: true,
  processingMode: true,
  allowModeOverride: true,
  allowedOverrideModes: true,
  bufferLimitBytes: true,
  overriddenBodyTimeoutMs: true,
  failureModeAllow: true,
  disableImmediateResponse: true,
  allowContentLengthHeader: true,
  mutationRules: true,
};

/**
 * Rejects options of the operator that do not fit these processors.
 *
 * @throws {TypeError} Names the property.
 */
export function checkOperator(operator: OperatorOptions, definitions: readonly AnyDefinition[]): void {
  checkProperties("options.operator", operator, OPERATOR_OPTIONS);
  checkProperties("options.operator.envoy", operator.envoy ?? {}, DECLARATION);
  oneOf("options.operator.onFault", operator.onFault, FAULT_POLICIES);
  const names = definitions.map(({ name }) => name);
  for (const name of Object.keys(operator.processors ?? {})) oneOf("options.operator.processors", name, names);
}
