import type { BodyMode } from "./body-mode.ts";

/** Whether Envoy sends headers or trailers, by the names of `ProcessingMode.HeaderSendMode`. */
export type SendMode = "SEND" | "SKIP";

/**
 * What Envoy is to send from here on, as in `mode_override`. What is left out stays as it is. Request headers are not
 * among it: when an override can be sent they are past.
 */
export interface ModeOverride {
  readonly requestBody?: BodyMode | undefined;
  readonly requestTrailers?: SendMode | undefined;
  readonly responseHeaders?: SendMode | undefined;
  readonly responseBody?: BodyMode | undefined;
  readonly responseTrailers?: SendMode | undefined;
}

/** The body modes in force on a stream; undefined where Envoy did not tell (before 1.34). */
export interface Modes {
  readonly requestBody: BodyMode | undefined;
  readonly responseBody: BodyMode | undefined;
}
