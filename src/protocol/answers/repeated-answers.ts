import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { shareAnswer } from "../../wire/answer-cache.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import type { HeaderPhase } from "../phase.ts";

/** An answer, and the header changes in it. */
interface WrittenAnswer {
  readonly changes: readonly HeaderChange[];
  readonly response: ProcessingResponse;
  isShared: boolean;
}

const last: Record<HeaderPhase, WrittenAnswer | undefined> = { requestHeaders: undefined, responseHeaders: undefined };

/** Returns the last answer of a phase if it has exactly the same changes, as with constant effects. */
export function repeatedAnswer(phase: HeaderPhase, changes: readonly HeaderChange[]): ProcessingResponse | undefined {
  const before = phase === "requestHeaders" ? last.requestHeaders : last.responseHeaders;
  if (before === undefined || before.changes.length !== changes.length || changes.length === 0) return undefined;
  for (let at = 0; at < changes.length; at++) if (before.changes[at] !== changes[at]) return undefined;
  if (!before.isShared) {
    before.isShared = true;
    shareAnswer(before.response);
  }
  return before.response;
}

/** Keeps an answer, which must not change from now on. */
export function rememberAnswer(
  phase: HeaderPhase,
  changes: readonly HeaderChange[],
  response: ProcessingResponse,
): void {
  const written: WrittenAnswer = { changes: changes.slice(), response, isShared: false };
  if (phase === "requestHeaders") last.requestHeaders = written;
  else last.responseHeaders = written;
}
