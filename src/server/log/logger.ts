/** The part of a logger that the server uses. pino's loggers have it, and many others. */
export interface Logger {
  /** Logs a normal event, such as the start. */
  info(fields: object, message: string): void;
  /** Logs an event that the operator should check. */
  warn(fields: object, message: string): void;
  /** Logs a failure. */
  error(fields: object, message: string): void;
}
