/**
 * `ext-proc/connect`: a processor as a service for a Connect server of one's own.
 *
 * @packageDocumentation
 */

export type { ProcessorOverride, RunOptions } from "./processor/run-rules.ts";
export type { ExternalProcessorOptions } from "./services/process/external-processor.ts";
export { type ExtProcRoutesOptions, extProcRoutes } from "./services/routes.ts";
export { ServingState } from "./services/serving-state.ts";
export { SessionSet } from "./session/session-set.ts";
export type { SetupObserver } from "./session/setup.ts";
