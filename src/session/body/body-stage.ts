import type { ImmediateAnswer } from "../../protocol/answers/answer.ts";
import type { Fault } from "../../protocol/fault.ts";

/** Bytes that pass through the handlers of a body. */
export type BodyBytes = Uint8Array<ArrayBuffer>;

/** Ends a body early: a fault or an immediate response. */
export type StageEnd = Fault | ImmediateAnswer;

/** Takes the output of a stage. A returned value ends the body. A promise delays the next piece. */
export type Emit = (piece: BodyBytes) => Soon<StageEnd | undefined>;

/** Runs one handler on one body. Only one call is made at a time. */
export interface BodyStage {
  /** True if bytes came in that were not emitted, or were emitted in another form. */
  readonly withholds: boolean;
  /**
   * Called before a body of which only the beginning comes. Returns what ends the body, or `pass` if the body must skip
   * this stage. If this method is absent, the stage can handle a beginning.
   */
  cut?(): StageEnd | "pass" | undefined;
  /** Takes the next piece. */
  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined>;
  /** The body has ended. `complete` is false if the rest of the body follows without being seen. */
  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined>;
  /**
   * Called if Envoy did not show the end of the body. Returns the fault of a handler that would have added something
   * there.
   */
  lostTail?(): Soon<Fault | undefined>;
  /** Frees what the stage holds. Its output is no longer needed. */
  close(): void;
}

/** A value, or a promise of it. Synchronous handlers must not cost a promise. */
export type Soon<T> = T | Promise<T>;

/** Continues with a value: at once if it is not a promise. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Emits pieces in order, starting at index `from`. */
export function emitAll(pieces: readonly BodyBytes[], emit: Emit, from = 0): Soon<StageEnd | undefined> {
  for (let at = from; at < pieces.length; at++) {
    const end = emit(pieces[at] as BodyBytes);
    if (end instanceof Promise) return end.then((ended) => ended ?? emitAll(pieces, emit, at + 1));
    if (end !== undefined) return end;
  }
  return undefined;
}
