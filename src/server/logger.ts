/** The part of a logger that the server uses; pino's loggers have it, and so do many others. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
