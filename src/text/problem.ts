/**
 * Why a function refuses a value. A function that may refuse its input returns a value or a problem: `Address | Problem`.
 * The caller asks `"problem" in address`. A value that may have any property, such as JSON, is wrapped:
 * `{ readonly value: JsonObject } | Problem`.
 */
export interface Problem {
  /** The reason, in words, as a sentence or as the end of one. The caller adds what is refused. */
  readonly problem: string;
}
