import { type Coding, type ContentEncoding, parseContentEncoding } from "../../bodies/coding/content-encoding.ts";
import { type BodyClaim, readsWhole } from "../../processor/body-claims.ts";
import type { BodyMode } from "../../protocol/body-mode.ts";
import { allHeaders, type HeaderFields, joinedText } from "../../protocol/headers/headers.ts";
import { BodyCharset } from "../stages/body-charset.ts";
import { ChunksStage } from "../stages/chunks.ts";
import { CodedStage } from "../stages/coded.ts";
import { GrpcStage } from "../stages/grpc.ts";
import type { HandlerCall } from "../stages/handler-call.ts";
import { InspectStage } from "../stages/inspect.ts";
import type { BodyBytes, BodyStage, StageEnd } from "../stages/step.ts";
import { endedBy, NOTHING, unchanged } from "../stages/step.ts";
import { StreamStage } from "../stages/stream.ts";
import { WholeStage } from "../stages/whole.ts";
import type { ActiveClaim } from "./active-claims.ts";

/** What the stages of a body depend on. */
export interface MakeStagesOptions {
  /** Headers of the body, as they came. */
  readonly fields: HeaderFields;
  /** The end of the body is certain to have room for the end of a coding. */
  readonly endKnown: boolean;
  readonly mode: BodyMode | undefined;
}

/** The stages of a body. */
export interface MadeStages {
  readonly stages: readonly PlacedStage[];
  /** True if the body is sent on without its codings. */
  readonly losesCodings: boolean;
}

/** A stage, with the index of its definition. */
export interface PlacedStage {
  readonly index: number;
  readonly stage: BodyStage;
}

/** Makes the stages of a body, or returns the fault that says why a stage is not possible. */
export function makeStages(active: readonly ActiveClaim[], options: MakeStagesOptions): MadeStages | StageEnd {
  const encoding = parseContentEncoding(allHeaders(options.fields, "content-encoding"));
  let codings: readonly Coding[] = encoding.kind === "codings" ? encoding.codings : [];
  const charset = new BodyCharset(joinedText(options.fields, "content-type"));
  const stages: PlacedStage[] = [];
  let loses = false;
  for (const one of active) {
    const { handler, index } = one.claim;
    const isDecoded = handler.read !== "grpc" && handler.encoding !== "raw";
    if (isDecoded && encoding.kind !== "codings") return unknownCoding(one.call, encoding);
    const own = isDecoded ? codings : [];
    const stage =
      handler.read !== "grpc" && readsWhole(handler)
        ? new WholeStage(one.call, handler, own, charset)
        : pieceStage(one, own, options);
    stages.push({ index, stage });
    if (own.length === 0 || options.endKnown || !changesPieces(one.claim)) continue;
    codings = [];
    loses = true;
  }
  return { stages, losesCodings: loses };
}

/** True for a body that is sent on without its codings, because the end of a coding might have no place. */
export function losesCodings(
  active: readonly ActiveClaim[],
  { fields, endKnown }: Pick<MakeStagesOptions, "fields" | "endKnown">,
): boolean {
  if (endKnown) return false;
  const encoding = parseContentEncoding(allHeaders(fields, "content-encoding"));
  if (encoding.kind !== "codings" || encoding.codings.length === 0) return false;
  return active.some(
    ({ claim }) => changesPieces(claim) && !("encoding" in claim.handler && claim.handler.encoding === "raw"),
  );
}

function changesPieces({ handler }: BodyClaim): boolean {
  return handler.read === "chunks" || handler.read === "stream";
}

/** Makes the stage of a handler that takes the body in pieces. */
function pieceStage(
  { claim: { handler }, call, grpc }: ActiveClaim,
  codings: readonly Coding[],
  { mode, endKnown }: MakeStagesOptions,
): BodyStage {
  if (handler.read === "grpc") {
    if (grpc === undefined) throw new Error("a gRPC handler has no call");
    return new GrpcStage(call, { grpc, unframed: mode === "GRPC", maxBytes: handler.maxBytes });
  }
  const inner = plainStage(call, handler);
  return codings.length === 0 ? inner : new CodedStage(call, inner, handler, { codings, encodes: endKnown });
}

function plainStage(call: HandlerCall, handler: BodyClaim["handler"]): BodyStage {
  if (handler.read === "chunks") return new ChunksStage(call, handler);
  if (handler.read === "inspect") return new InspectStage(call, handler);
  if (handler.read === "stream") return new StreamStage(call, handler);
  throw new Error(`no stage reads "${handler.read}"`);
}

function unknownCoding({ faults }: HandlerCall, encoding: Exclude<ContentEncoding, { kind: "codings" }>): StageEnd {
  const problem =
    encoding.kind === "too_many"
      ? "the body has more codings than the server decodes"
      : `the body has a coding that the server cannot decode (${JSON.stringify(encoding.coding)})`;
  return faults.fault("unknown_coding", problem);
}

/**
 * Makes a stage that lets an empty body pass, and ends every other body at its first byte. Often only the end of a body
 * shows that it is empty. A fault at the headers would make the result depend on the framing of the same message.
 */
export function refusingStage(problem: StageEnd): PlacedStage {
  const push = (piece: BodyBytes) => (piece.length > 0 ? endedBy(problem) : unchanged(piece));
  return { index: 0, stage: { withholds: false, push, end: () => NOTHING, close: () => undefined } };
}
