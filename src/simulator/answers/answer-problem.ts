/**
 * What is wrong with an answer. `spurious`: Envoy does not wait for this answer, and `failure_mode_allow` decides.
 * `invalid`: Envoy waits for it, but it cannot be applied, which fails the transaction in any case. In `details`, the
 * response code details, blanks become underscores.
 */
export interface AnswerProblem {
  readonly kind: "spurious" | "invalid";
  readonly details: string;
}

/** An answer that Envoy does not wait for. */
export const SPURIOUS: AnswerProblem = { kind: "spurious", details: "spurious message" };
