import type { ImmediateAnswer } from "../../protocol/answers/answer.ts";
import type { Fault } from "../../protocol/fault.ts";

/** Bytes that pass through the handlers of a body. */
export type BodyBytes = Uint8Array<ArrayBuffer>;

/** Ends a body early: a fault or an immediate response. */
export type StageEnd = Fault | ImmediateAnswer;

/** A value, or a promise of it. Synchronous handlers must not cost a promise. */
export type Soon<T> = T | Promise<T>;

/** Continues with a value: at once if it is not a promise. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** What a stage makes of its input. */
export interface Step {
  /** The output, in order. Each piece passes through the later stages. */
  readonly pieces: readonly BodyBytes[];
  /** True if the output differs from the input. */
  readonly changed: boolean;
  /** Ends the body, after the pieces. */
  readonly end: StageEnd | undefined;
  /**
   * Continues with the same input. Called after the pieces have passed through the later stages, so a stage does not
   * produce more than these can take.
   */
  readonly more: (() => Soon<Step>) | undefined;
}

/**
 * Runs one handler on one body. Only one call is made at a time, and none before all output of the last call has
 * passed on.
 */
export interface BodyStage {
  /** True if bytes came in that were not returned, or were returned in another form. */
  readonly withholds: boolean;
  /** Takes the next piece. */
  push(piece: BodyBytes): Soon<Step>;
  /** The body has ended. `complete` is false if the rest of the body follows without being seen. */
  end(complete: boolean): Soon<Step>;
  /**
   * Called before a body of which only the beginning comes. Returns what ends the body, or `pass` if the body must skip
   * this stage. If this method is absent, the stage can handle a beginning.
   */
  cut?(): StageEnd | "pass" | undefined;
  /**
   * Called if Envoy did not show the end of the body. Returns the fault of a handler that would have added something
   * there.
   */
  lostTail?(): Soon<Fault | undefined>;
  /** Frees what the stage holds. Its output is no longer needed. */
  close(): void;
}

/** Nothing comes of the input yet. */
export const NOTHING: Step = { pieces: [], changed: false, end: undefined, more: undefined };

/** The input itself. */
export function unchanged(piece: BodyBytes, more?: Step["more"]): Step {
  return { pieces: [piece], changed: false, end: undefined, more };
}

/** Output that differs from the input. */
export function changedTo(pieces: readonly BodyBytes[], more?: Step["more"]): Step {
  return { pieces, changed: true, end: undefined, more };
}

/** The end of the body. */
export function endedBy(end: StageEnd): Step {
  return { pieces: NOTHING.pieces, changed: false, end, more: undefined };
}

/** Adds a piece after all output. */
export function followedBy(step: Step, piece: BodyBytes): Step {
  return eachStep(step, (last) =>
    last.more === undefined && last.end === undefined ? { ...last, pieces: [...last.pieces, piece] } : last,
  );
}

/** Bytes added after the beginning of a body would end up in its middle, so they end the body. */
export function withoutOutput(step: Step, refusal: () => StageEnd): Step {
  return eachStep(step, (one) => (one.pieces.length > 0 ? endedBy(refusal()) : one));
}

function eachStep(step: Step, change: (step: Step) => Step): Step {
  const changed = change(step);
  const { more } = changed;
  return more === undefined ? changed : { ...changed, more: () => after(more(), (next) => eachStep(next, change)) };
}

/** The steps of a generator, one by one. What it returns is the last one. */
export async function stepsOf(steps: AsyncGenerator<Step, Step>): Promise<Step> {
  const { done, value } = await steps.next();
  return done ? value : { ...value, more: () => stepsOf(steps) };
}
