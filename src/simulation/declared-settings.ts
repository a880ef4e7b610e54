import type { DeclaredEnvoySettings } from "../protocol/envoy-settings.ts";
import { DEFAULT_BUFFER_LIMIT_BYTES } from "../simulator/filter/receive-body.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";

/** The declaration of an operator who knows the settings of the simulated Envoy, including those of its route. */
export function declaredSettings(settings: SimulatedEnvoySettings): DeclaredEnvoySettings {
  const { perRoute = {}, bufferLimitBytes = DEFAULT_BUFFER_LIMIT_BYTES } = settings;
  return {
    ...settings,
    bufferLimitBytes,
    processingMode: perRoute.processingMode ?? settings.processingMode,
    failureModeAllow: perRoute.failureModeAllow ?? settings.failureModeAllow,
  };
}
