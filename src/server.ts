export type { Logger } from "./server/logger.ts";
export { type DebugExposure, ListenError, type ServeOptions, type Server, serve } from "./server/serve.ts";
