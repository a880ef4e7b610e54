import type { Bytes, Emit, StageEnd } from "./body-stage.ts";
import type { Soon } from "./soon.ts";

/** Gives on pieces, one after the other, from one of them on. */
export function emitAll(pieces: readonly Bytes[], emit: Emit, from = 0): Soon<StageEnd | undefined> {
  for (let at = from; at < pieces.length; at++) {
    const end = emit(pieces[at] as Bytes);
    if (end instanceof Promise) return end.then((ended) => ended ?? emitAll(pieces, emit, at + 1));
    if (end !== undefined) return end;
  }
  return undefined;
}
