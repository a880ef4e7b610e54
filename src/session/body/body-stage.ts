import type { ImmediateAnswer } from "../../protocol/answers/answer.ts";
import type { Fault } from "../../protocol/fault.ts";

/** Bytes on their way through the handlers of a body. */
export type BodyBytes = Uint8Array<ArrayBuffer>;

/** What ends a body before its end. */
export type StageEnd = Fault | ImmediateAnswer;

/** Takes what a stage gives on. What comes back ends the body; a promise holds back the next piece. */
export type Emit = (piece: BodyBytes) => Soon<StageEnd | undefined>;

/** One handler of one body at work. One call at a time. */
export interface BodyStage {
  /** Bytes that came in and have not gone on, or go on in another form only. */
  readonly withholds: boolean;
  /**
   * Asked before a body of which the beginning comes, and nothing but that: what ends it, or `pass` where it is to go
   * past this stage. Absent: the stage can do with a beginning.
   */
  cut?(): StageEnd | "pass" | undefined;
  /** Takes the next piece. */
  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined>;
  /** Nothing more comes. `complete` is false where there is more, which passes unseen. */
  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined>;
  /** Ends a body whose end Envoy did not tell: the fault of what the handler adds there, which is lost. */
  lostTail?(): Soon<Fault | undefined>;
  /** Frees what it holds; nobody waits for it any more. */
  close(): void;
}

/** A value that is there, or will be. Synchronous handlers must not cost a promise. */
export type Soon<T> = T | Promise<T>;

/** Goes on with a value, at once where it is there. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Gives on pieces, one after the other, from one of them on. */
export function emitAll(pieces: readonly BodyBytes[], emit: Emit, from = 0): Soon<StageEnd | undefined> {
  for (let at = from; at < pieces.length; at++) {
    const end = emit(pieces[at] as BodyBytes);
    if (end instanceof Promise) return end.then((ended) => ended ?? emitAll(pieces, emit, at + 1));
    if (end !== undefined) return end;
  }
  return undefined;
}
