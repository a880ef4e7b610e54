/** The part of a logger that the server uses; pino's loggers have it, and so do many others. */
export interface Logger {
  /** What is worth knowing, such as a start. */
  info(fields: object, message: string): void;
  /** What somebody should look at. */
  warn(fields: object, message: string): void;
  /** What cost somebody something. */
  error(fields: object, message: string): void;
}
