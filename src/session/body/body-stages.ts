import { type Coding, type ContentEncoding, parseContentEncoding } from "../../bodies/coding/content-encoding.ts";
import { createDecoder } from "../../bodies/coding/decoder.ts";
import { createEncoder } from "../../bodies/coding/encoder.ts";
import { type BodyClaim, readsWhole } from "../../processor/body-claims.ts";
import type { BodyMode } from "../../protocol/body-mode.ts";
import type { RunningBody } from "../../protocol/exchange/body-plan.ts";
import { allHeaders, type HeaderFields, joinedText } from "../../protocol/headers/headers.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { ActiveClaim } from "./active-claims.ts";
import type { BodyBytes, BodyStage, Emit, StageEnd } from "./body-stage.ts";
import { ChunkStage, InspectStage } from "./chunk-stage.ts";
import { CodedStage } from "./coded-stage.ts";
import { GrpcStage } from "./grpc-stage.ts";
import { CoderBudget } from "./held-room.ts";
import type { StageContext } from "./stage-context.ts";
import { StreamStage } from "./stream-stage.ts";
import { BodyCharset, WholeStage } from "./whole-stage.ts";

/** What the stages of a body depend on. */
export interface BodyStageOptions {
  readonly phase: BodyPhase;
  /** Headers of the body, as they came. */
  readonly fields: HeaderFields;
  /** The end of the body is certain to have room for the end of a coding. */
  readonly endKnown: boolean;
  readonly mode: BodyMode | undefined;
}

/** The stages of a body. */
export interface BodyStages {
  readonly stages: readonly BodyStage[];
  /** True if the body is sent on without its codings. */
  readonly losesCodings: boolean;
}

/** Creates the stages of a body, or returns the fault that says why a stage is not possible. */
export function bodyStages(active: readonly ActiveClaim[], options: BodyStageOptions): BodyStages | StageEnd {
  const encoding = parseContentEncoding(allHeaders(options.fields, "content-encoding"));
  let codings: readonly Coding[] = encoding.kind === "codings" ? encoding.codings : [];
  const charset = new BodyCharset(joinedText(options.fields, "content-type"));
  const stages: BodyStage[] = [];
  let loses = false;
  for (const { claim, context, call } of active) {
    const { handler } = claim;
    const isDecoded = handler.read !== "grpc" && handler.encoding !== "raw";
    if (isDecoded && encoding.kind !== "codings") return unknownCoding(context, encoding);
    const own = isDecoded ? codings : [];
    stages.push(stageOf({ claim, context, call }, { ...options, charset }, own));
    if (own.length === 0 || options.endKnown || !changesPieces(claim)) continue;
    codings = [];
    loses = true;
  }
  return { stages, losesCodings: loses };
}

/** True for a body that is sent on without its codings, because the end of a coding might have no place. */
export function losesCodings(
  active: readonly ActiveClaim[],
  { fields, endKnown }: Pick<BodyStageOptions, "fields" | "endKnown">,
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

function stageOf(
  active: ActiveClaim,
  options: BodyStageOptions & { readonly charset: BodyCharset },
  codings: readonly Coding[],
): BodyStage {
  const { claim, context, call } = active;
  const { phase, endKnown, mode, charset } = options;
  const { handler } = claim;
  if (call) return new GrpcStage(context, { call, phase, unframed: mode === "GRPC", maxBytes: handler.maxBytes });
  if (readsWhole(handler)) return new WholeStage(context, { handler, phase, codings, charset });
  const inner = innerStage({ claim, context }, phase);
  if (codings.length === 0) return inner;
  const looks = handler.read === "inspect";
  const overLimit = "overLimit" in handler ? handler.overLimit : undefined;
  // A body that may pass is counted after the decoder.
  const maxBytes = overLimit === "pass" ? undefined : handler.maxBytes;
  const room = new CoderBudget(context.budget);
  const decoder = createDecoder(codings, { maxBytes: maxBytes ?? Number.MAX_SAFE_INTEGER }, room);
  const encoder = endKnown && !looks ? createEncoder(codings, { room }) : undefined;
  return new CodedStage(context, { inner, decoder, encoder, room, looks, overLimit });
}

function innerStage({ claim: { handler }, context }: ActiveClaim, phase: BodyPhase): BodyStage {
  if (handler.read === "chunks") return new ChunkStage(context, handler, phase);
  if (handler.read === "inspect") return new InspectStage(context, handler);
  if (handler.read === "stream") return new StreamStage(context, handler, phase);
  throw new Error(`no stage reads "${handler.read}"`);
}

function unknownCoding(context: StageContext, encoding: Exclude<ContentEncoding, { kind: "codings" }>): StageEnd {
  return encoding.kind === "too_many"
    ? context.fault("unknown_coding", "the body has more codings than the server decodes")
    : context.fault(
        "unknown_coding",
        `the body has a coding that the server cannot decode (${JSON.stringify(encoding.coding)})`,
      );
}

/**
 * Lets an empty body pass, and ends every other body at its first byte. Often only the end of a body shows that it is
 * empty. A fault at the headers would make the result depend on the framing of the same message.
 */
export class RefusingStage implements BodyStage {
  readonly withholds = false;
  readonly #problem: StageEnd;

  constructor(problem: StageEnd) {
    this.#problem = problem;
  }

  push(piece: BodyBytes, emit: Emit): StageEnd | undefined | ReturnType<Emit> {
    return piece.length > 0 ? this.#problem : emit(piece);
  }

  end(): undefined {}

  close(): void {}
}

/** The plan of a body that its handlers cannot get. Envoy still holds the headers in every mode that allows it. */
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

/** The plan of a body that replaces the original. It is complete, and its headers still wait. */
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
