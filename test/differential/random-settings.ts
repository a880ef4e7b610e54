import type { BodySendMode, MutationRules, ProcessingModeSettings } from "../../src/protocol/envoy-settings.ts";
import type {
  EnvoyVersion,
  ForwardRules,
  SimulatedEnvoySettings,
} from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Random } from "./random.ts";

/** Short, since a hostile answer may let a transaction hang. */
const IDLE_TIMEOUT_MS = 300;

/** Settings that Envoy's configuration check accepts. */
export function randomSettings(random: Random, version: EnvoyVersion): SimulatedEnvoySettings {
  const observabilityMode = random.maybe(0.06, () => true);
  const processingMode = observabilityMode ? observedMode(random) : randomMode(random);
  const settings: SimulatedEnvoySettings = {
    processingMode,
    streamIdleTimeoutMs: IDLE_TIMEOUT_MS,
    routeTimeoutMs: 0,
    failureModeAllow: random.maybe(0.3, () => true),
    maxMessageTimeoutMs: random.maybe(0.2, () => 1000),
    allowModeOverride: random.maybe(0.5, () => true),
    allowedOverrideModes: random.maybe(0.05, () => random.some(2, () => randomMode(random))),
    mutationRules: random.maybe(0.25, () => randomMutationRules(random)),
    forwardRules: random.maybe(0.1, () => randomForwardRules(random)),
    statusOnError: random.maybe(0.1, () => 503),
    observabilityMode,
    deferredCloseTimeoutMs: observabilityMode ? 20 : undefined,
    disableImmediateResponse: random.maybe(0.08, () => true),
    routeCacheAction: random.maybe(0.15, () => random.pick(["CLEAR", "RETAIN"])),
    metadataOptions: random.maybe(0.4, () => ({
      receivingNamespaces: { untyped: ["demo"] },
      forwardingNamespaces: { untyped: ["known", "demo"] },
    })),
    requestAttributes: random.maybe(0.1, () => ["request.path", "request.method"]),
    responseAttributes: random.maybe(0.1, () => ["response.code"]),
    sendBodyWithoutWaitingForHeaderResponse: random.maybe(0.05, () => true),
    allowContentLengthHeader: version === "1.36" ? undefined : random.maybe(0.08, () => true),
    perRoute: random.maybe(0.08, () => ({
      processingMode: random.maybe(0.5, () => randomMode(random)),
      failureModeAllow: random.maybe(0.5, () => random.chance(0.5)),
    })),
  };
  return JSON.parse(JSON.stringify(settings)) as SimulatedEnvoySettings;
}

/** A processing mode; FULL_DUPLEX_STREAMED comes with trailers, as Envoy demands. */
export function randomMode(random: Random): ProcessingModeSettings {
  const body = () =>
    random.pick<BodySendMode>([
      "NONE",
      "NONE",
      "BUFFERED",
      "STREAMED",
      "STREAMED",
      "BUFFERED_PARTIAL",
      "FULL_DUPLEX_STREAMED",
    ]);
  const headers = () => random.maybe(0.15, () => "SKIP" as const);
  const trailers = (mode: BodySendMode) => (mode === "FULL_DUPLEX_STREAMED" || random.chance(0.4) ? "SEND" : undefined);
  const requestBodyMode = body();
  const responseBodyMode = body();
  return {
    requestHeaderMode: headers(),
    responseHeaderMode: headers(),
    requestBodyMode,
    responseBodyMode,
    requestTrailerMode: trailers(requestBodyMode),
    responseTrailerMode: trailers(responseBodyMode),
  };
}

function observedMode(random: Random): ProcessingModeSettings {
  const body = () => random.pick<BodySendMode>(["NONE", "STREAMED"]);
  return { requestBodyMode: body(), responseBodyMode: body(), requestTrailerMode: random.maybe(0.5, () => "SEND") };
}

function randomMutationRules(random: Random): MutationRules {
  return {
    allowAllRouting: random.maybe(0.4, () => true),
    allowEnvoy: random.maybe(0.4, () => true),
    disallowSystem: random.maybe(0.2, () => true),
    disallowAll: random.maybe(0.15, () => true),
    disallowIsError: random.maybe(0.2, () => true),
    allowExpression: random.maybe(0.2, () => random.pick(["x-new", "x-.*", ":path", "x-envoy-.*"])),
    disallowExpression: random.maybe(0.2, () => random.pick(["x-old", "set-cookie", "x-envoy-.*", ":.*"])),
  };
}

function randomForwardRules(random: Random): ForwardRules {
  return {
    allowedHeaders: random.maybe(0.6, () => [{ prefix: random.pick([":", "x-", "content"]) }, { exact: ":path" }]),
    disallowedHeaders: random.maybe(0.6, () => [{ suffix: random.pick(["old", "-length", "method"]) }]),
  };
}
