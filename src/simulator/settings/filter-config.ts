import { MutationRuleChecker } from "./mutation-rules.ts";
import { type NamePredicate, namePredicate } from "./name-pattern.ts";
import { type CompleteProcessingMode, completeMode, NOTHING_SENT } from "./processing-mode.ts";
import { type Release, releaseOf } from "./release.ts";
import {
  type ForwardRules,
  type MetadataNamespaces,
  type SimulatedEnvoySettings,
  settingsOnRoute,
} from "./simulated-envoy-settings.ts";

/** Namespaces of dynamic metadata, in lists that are always there. */
export interface NamespaceLists {
  readonly untyped: readonly string[];
  readonly typed: readonly string[];
}

/** The settings with which a filter works: every default is filled in, and the route's changes are merged in. */
export interface FilterConfig {
  readonly settings: SimulatedEnvoySettings;
  readonly release: Release;
  /** The mode of the filter itself, whatever the route says. Overrides are based on it. */
  readonly configuredMode: CompleteProcessingMode;
  /** The mode of this transaction at its beginning. */
  readonly mode: CompleteProcessingMode;
  /** The buffer limit of connections, for HTTP/1 clients. */
  readonly bufferLimitBytes: number;
  readonly failureModeAllow: boolean;
  readonly messageTimeoutMs: number;
  readonly maxMessageTimeoutMs: number;
  readonly statusOnError: number;
  readonly observabilityMode: boolean;
  readonly sendsBodyEarly: boolean;
  readonly keepsContentLength: boolean;
  readonly routeCacheAction: "DEFAULT" | "CLEAR" | "RETAIN";
  readonly checker: MutationRuleChecker;
  readonly forwards: NamePredicate;
  readonly forwardingNamespaces: NamespaceLists;
  readonly receivingNamespaces: NamespaceLists;
  readonly grpcInitialMetadata: Readonly<Record<string, string>>;
}

/**
 * Reads the settings of a filter.
 *
 * @throws SyntaxError if a pattern is not valid.
 */
export function filterConfig(settings: SimulatedEnvoySettings): FilterConfig {
  const release = releaseOf(settings.envoyVersion ?? "1.40");
  const onRoute = settingsOnRoute(settings);
  return {
    settings,
    release,
    configuredMode: completeMode(settings.processingMode),
    mode: completeMode(settings.perRoute?.disabled ? NOTHING_SENT : onRoute.processingMode),
    bufferLimitBytes: onRoute.bufferLimitBytes,
    failureModeAllow: onRoute.failureModeAllow ?? false,
    messageTimeoutMs: settings.messageTimeoutMs ?? 200,
    maxMessageTimeoutMs: settings.maxMessageTimeoutMs ?? 0,
    statusOnError: settings.statusOnError ?? 500,
    observabilityMode: settings.observabilityMode ?? false,
    sendsBodyEarly: settings.sendBodyWithoutWaitingForHeaderResponse ?? false,
    keepsContentLength: (settings.allowContentLengthHeader ?? false) && release.allowContentLengthHeader,
    routeCacheAction: settings.disableClearRouteCache ? "RETAIN" : (settings.routeCacheAction ?? "DEFAULT"),
    checker: new MutationRuleChecker(settings.mutationRules),
    forwards: forwardPredicate(settings.forwardRules),
    forwardingNamespaces: namespaceLists(onRoute.metadataOptions?.forwardingNamespaces),
    receivingNamespaces: namespaceLists(onRoute.metadataOptions?.receivingNamespaces),
    grpcInitialMetadata: lowerCaseNames(onRoute.grpcInitialMetadata ?? {}),
  };
}

function namespaceLists({ untyped = [], typed = [] }: MetadataNamespaces = {}): NamespaceLists {
  return { untyped, typed };
}

function lowerCaseNames(values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Returns whether the server gets a header or trailer of this name. The rules apply to pseudo-headers too. */
export function forwardPredicate(rules: ForwardRules = {}): NamePredicate {
  const allowed = (rules.allowedHeaders ?? []).map(namePredicate);
  const disallowed = (rules.disallowedHeaders ?? []).map(namePredicate);
  if (allowed.length === 0 && disallowed.length === 0) return () => true;
  return (name) =>
    !disallowed.some((matches) => matches(name)) && (allowed.length === 0 || allowed.some((matches) => matches(name)));
}
