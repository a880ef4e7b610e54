import type { BodyMode } from "../../protocol/body-mode.ts";
import type { RunningBody } from "../../protocol/exchange/body-plan.ts";
import type { BodyStage, Bytes, Emit, StageEnd } from "./body-stage.ts";

/**
 * Lets an empty body pass, and ends every other one at its first byte. Whether a body is empty often shows only at its end: a
 * fault that comes with the headers would make the outcome depend on how the same message is framed.
 */
export class RefusingStage implements BodyStage {
  readonly withholds = false;
  readonly #problem: StageEnd;

  constructor(problem: StageEnd) {
    this.#problem = problem;
  }

  push(piece: Bytes, emit: Emit): StageEnd | undefined | ReturnType<Emit> {
    return piece.length > 0 ? this.#problem : emit(piece);
  }

  end(): undefined {}

  close(): void {}
}

/** How a body is handled that no handler can have. Envoy still holds its headers in every mode that allows it. */
export function refusingPlan(
  mode: BodyMode | undefined,
  { holdsHeaders, override }: Pick<RunningBody, "holdsHeaders" | "override">,
): RunningBody {
  const buffers = mode === "BUFFERED" || mode === "BUFFERED_PARTIAL";
  return {
    kind: "run",
    mode,
    override,
    holdsHeaders,
    takesHeaderChanges: false,
    end: buffers ? "message" : "eos",
    endKnown: true,
    needsWhole: false,
    changes: false,
  };
}

/** A body that replaces another is all there, and its headers still wait. */
export const REPLACED: RunningBody = {
  kind: "run",
  mode: "BUFFERED",
  override: undefined,
  holdsHeaders: false,
  takesHeaderChanges: true,
  end: "message",
  endKnown: true,
  needsWhole: false,
  changes: true,
};
