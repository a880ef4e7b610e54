export { ListenError } from "./server/listen-error.ts";
export type { Logger } from "./server/logger.ts";
export { type DebugExposure, type ServeOptions, type Server, serve } from "./server/serve.ts";
export { TlsFileError, type TlsFiles } from "./server/tls-files.ts";
