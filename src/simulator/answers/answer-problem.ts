/**
 * What is wrong with an answer. `spurious`: not the one that is awaited; `failure_mode_allow` decides. `invalid`: it is
 * the awaited one, but cannot be applied, which fails the transaction in any case. `details` are response code details,
 * with blanks that become underscores.
 */
export interface AnswerProblem {
  readonly kind: "spurious" | "invalid";
  readonly details: string;
}

/** An answer that nothing waits for. */
export const SPURIOUS: AnswerProblem = { kind: "spurious", details: "spurious message" };
