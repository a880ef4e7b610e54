/**
 * `ext-proc/connect`: a processor as a service for a Connect server of one's own.
 *
 * @packageDocumentation
 */

export type { ProcessorOverride, RunOptions } from "./processor/run-rules.ts";
export { SessionSet } from "./processor/session-set.ts";
export type { SetupObserver } from "./processor/setup.ts";
export type { ExternalProcessorOptions } from "./services/external-processor.ts";
export { type ExtProcRoutesOptions, extProcRoutes } from "./services/routes.ts";
export { ServingState } from "./services/serving-state.ts";
