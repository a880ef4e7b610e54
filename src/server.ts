/**
 * `ext-proc/server`: the server that Envoy calls, as `ext-proc serve` starts it.
 *
 * @packageDocumentation
 */

export type { ProcessorOverride } from "./processor/run-rules.ts";
export type { EnvoyDeclarationInit, MutationRules } from "./protocol/envoy-declaration.ts";
export type { DecisionLogOptions } from "./server/decision-log.ts";
export { ListenError } from "./server/listen-error.ts";
export type { Logger } from "./server/logger.ts";
export { type DebugExposure, type Http2Settings, type ServeOptions, type Server, serve } from "./server/serve.ts";
export { TlsFileError, type TlsFiles } from "./server/tls-files.ts";
