/**
 * `ext-proc/connect`: a processor as a service for your own Connect server.
 *
 * @packageDocumentation
 */

export type { OperatorOptions, ProcessorOverride } from "./processor/run-rules.ts";
export type { ExternalProcessorOptions } from "./services/process/external-processor.ts";
export { type ExtProcRoutesOptions, extProcRoutes } from "./services/routes.ts";
export { ServingState } from "./services/serving-state.ts";
export { SessionSet } from "./session/session-set.ts";
export type { SetupObserver } from "./session/setup.ts";
