import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import type { FilterSettings } from "../simulator/settings/filter-settings.ts";

/** The settings of an Envoy that is as it was declared to be. */
export function envoyAsDeclared(declaration: EnvoyDeclaration): FilterSettings {
  const { allowModeOverride, trailers, mutationRules, overriddenBodyTimeoutMs: _, ...same } = declaration;
  const mode = (direction: "request" | "response") => (trailers.includes(direction) ? "SEND" : "SKIP");
  return {
    ...same,
    allowModeOverride: allowModeOverride !== false,
    allowedOverrideModes:
      typeof allowModeOverride === "boolean"
        ? undefined
        : allowModeOverride.map((modes) => ({
            requestBodyMode: modes.requestBody,
            responseBodyMode: modes.responseBody,
            requestTrailerMode: modes.requestTrailers,
            responseHeaderMode: modes.responseHeaders,
            responseTrailerMode: modes.responseTrailers,
          })),
    mutationRules,
    ...(trailers.length > 0 && {
      processingMode: { requestTrailerMode: mode("request"), responseTrailerMode: mode("response") },
    }),
  };
}
