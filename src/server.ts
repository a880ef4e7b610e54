/**
 * `ext-proc/server`: the server that Envoy calls, as `ext-proc serve` starts it.
 *
 * @packageDocumentation
 */

export type { OperatorOptions, ProcessorOverride } from "./processor/run-rules.ts";
export type {
  BodySendMode,
  DeclaredEnvoySettings,
  EnvoySettings,
  HeaderSendMode,
  MutationRules,
  ProcessingModeSettings,
} from "./protocol/envoy-settings.ts";
export { ListenError } from "./server/listen/listen-error.ts";
export { TlsFileError, type TlsFiles } from "./server/listen/tls-files.ts";
export type { DecisionLogOptions } from "./server/log/decision-log.ts";
export type { Logger } from "./server/log/logger.ts";
export { type DebugExposure, type Http2Settings, type ServeOptions, type Server, serve } from "./server/serve.ts";
