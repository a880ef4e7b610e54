export type { ProcessorOverride, RunOptions } from "./processor/run-rules.ts";
export { SessionSet } from "./processor/session-set.ts";
export type { ExternalProcessorOptions } from "./services/external-processor.ts";
export { type ExtProcRoutesOptions, extProcRoutes } from "./services/routes.ts";
export { ServingState } from "./services/serving-state.ts";
