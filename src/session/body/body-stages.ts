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
import type { StageHost } from "./stage-host.ts";
import { StreamStage } from "./stream-stage.ts";
import { BodyCharset, WholeStage } from "./whole-stage.ts";

/** What stages are made for. */
export interface BodyStageOptions {
  readonly phase: BodyPhase;
  /** Headers of the body, as they came. */
  readonly fields: HeaderFields;
  /** The end is sure to have a place for what codings put there. */
  readonly endKnown: boolean;
  readonly mode: BodyMode | undefined;
}

/** The stages of a body. */
export interface BodyStages {
  readonly stages: readonly BodyStage[];
  /** The body leaves without its codings. */
  readonly losesCodings: boolean;
}

/** Makes the stages of a body, or says why one of them cannot be. */
export function bodyStages(active: readonly ActiveClaim[], options: BodyStageOptions): BodyStages | StageEnd {
  const encoding = parseContentEncoding(allHeaders(options.fields, "content-encoding"));
  let codings: readonly Coding[] = encoding.kind === "codings" ? encoding.codings : [];
  const charset = new BodyCharset(joinedText(options.fields, "content-type"));
  const stages: BodyStage[] = [];
  let loses = false;
  for (const { claim, host, call } of active) {
    const { handler } = claim;
    const isDecoded = handler.read !== "grpc" && handler.encoding !== "raw";
    if (isDecoded && encoding.kind !== "codings") return unknownCoding(host, encoding);
    const own = isDecoded ? codings : [];
    stages.push(stageOf({ claim, host, call }, { ...options, charset }, own));
    if (own.length === 0 || options.endKnown || !changesPieces(claim)) continue;
    codings = [];
    loses = true;
  }
  return { stages, losesCodings: loses };
}

/** True for a body that leaves without its codings: a coding's end would have no place behind it. */
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
  const { claim, host, call } = active;
  const { phase, endKnown, mode, charset } = options;
  const { handler } = claim;
  if (call) return new GrpcStage(host, { call, phase, unframed: mode === "GRPC", maxBytes: handler.maxBytes });
  if (readsWhole(handler)) return new WholeStage(host, { handler, phase, codings, charset });
  const inner = innerStage({ claim, host }, phase);
  if (codings.length === 0) return inner;
  const looks = handler.read === "inspect";
  const overLimit = "overLimit" in handler ? handler.overLimit : undefined;
  // What may pass is counted behind the decoder, and goes on through it.
  const maxBytes = overLimit === "pass" ? undefined : handler.maxBytes;
  const room = new CoderBudget(host.budget);
  const decoder = createDecoder(codings, { maxBytes: maxBytes ?? Number.MAX_SAFE_INTEGER }, room);
  const encoder = endKnown && !looks ? createEncoder(codings, { room }) : undefined;
  return new CodedStage(host, { inner, decoder, encoder, room, looks, overLimit });
}

function innerStage({ claim: { handler }, host }: ActiveClaim, phase: BodyPhase): BodyStage {
  if (handler.read === "chunks") return new ChunkStage(host, handler, phase);
  if (handler.read === "inspect") return new InspectStage(host, handler);
  if (handler.read === "stream") return new StreamStage(host, handler, phase);
  throw new Error(`no stage reads "${handler.read}"`);
}

function unknownCoding(host: StageHost, encoding: Exclude<ContentEncoding, { kind: "codings" }>): StageEnd {
  return encoding.kind === "too_many"
    ? host.fault("unknown_coding", "the body has more codings than are taken off")
    : host.fault(
        "unknown_coding",
        `the body has a coding that cannot be taken off (${JSON.stringify(encoding.coding)})`,
      );
}

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

  push(piece: BodyBytes, emit: Emit): StageEnd | undefined | ReturnType<Emit> {
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
