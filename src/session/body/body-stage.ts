import type { ImmediateAnswer } from "../../protocol/answers/answer.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { Soon } from "./soon.ts";

/** Bytes on their way through the handlers of a body. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What ends a body before its end. */
export type StageEnd = Fault | ImmediateAnswer;

/** Takes what a stage gives on. What comes back ends the body; a promise holds back the next piece. */
export type Emit = (piece: Bytes) => Soon<StageEnd | undefined>;

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
  push(piece: Bytes, emit: Emit): Soon<StageEnd | undefined>;
  /** Nothing more comes. `complete` is false where there is more, which passes unseen. */
  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined>;
  /** Ends a body whose end Envoy did not tell: the fault of what the handler adds there, which is lost. */
  lostTail?(): Soon<Fault | undefined>;
  /** Frees what it holds; nobody waits for it any more. */
  close(): void;
}
