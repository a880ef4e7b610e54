import { type BodyMode, returnsBody } from "../body-mode.ts";
import { ENVOY_BUFFER_LIMIT_BYTES } from "../envoy-declaration.ts";
import { type Fault, fault } from "../fault.ts";
import { type ModeOverride, type OverrideBodyMode, streamsBody } from "../mode-override.ts";
import { type BodyPhase, directionOf } from "../phase.ts";

/** What the handlers of a direction's body need, all of them together. */
export interface BodyNeeds {
  /** One of them needs the whole body before it can say anything. */
  readonly whole: boolean;
  /** One of them may add something behind the last chunk. */
  readonly tail: boolean;
  /** One of them may change the body; without, all of them only look. */
  readonly changes: boolean;
  /** One of them must see the body. */
  readonly required: boolean;
  /** All of them take the body piece by piece, and none can change headers: a buffered body serves them no better. */
  readonly piecewise: boolean;
  /** One of them does not work in GRPC mode, in which a piece of the body is a gRPC message. */
  readonly unfitForGrpc: boolean;
}

/** What is known where a body begins. */
export interface BodySituation {
  readonly phase: BodyPhase;
  readonly needs: BodyNeeds;
  /** The mode in force; undefined if Envoy did not say. */
  readonly mode: BodyMode | undefined;
  /** Bytes of the body as `content-length` has them; undefined if it is not known. */
  readonly bodyBytes: number | undefined;
  /** False if the body came without headers before: there is nothing left that could carry an override. */
  readonly answersHeaders: boolean;
  /** The answers count for nothing: Envoy only watches, or the server pretends. */
  readonly watched: boolean;
  /** How much of a body Envoy buffers, in bytes; undefined if the operator did not declare it. */
  readonly bufferLimitBytes: number | undefined;
  /** The mode that an effect of a header handler chose; undefined if the choice is free. */
  readonly chosen?: OverrideBodyMode | undefined;
  /** An override to a mode, as it has to be sent; a string says why Envoy would not obey it. */
  override(mode: OverrideBodyMode): ModeOverride | string;
  /** Says that STREAMED with its trailers is a better override than FULL_DUPLEX_STREAMED. Default: it is not. */
  prefersStreamed?(): boolean;
}

/**
 * How the end of a body is known.
 *
 * - `message`: its only message is all that comes.
 * - `eos`: by the end of the stream, or by trailers in FULL_DUPLEX_STREAMED and GRPC.
 * - `count`: as soon as there are as many bytes as `content-length` has, since trailers would hide the end.
 */
export type BodyEndSign = "message" | "eos" | "count";

/** How a body is handled. */
export interface RunningBody {
  readonly kind: "run";
  /** The mode in which it comes, an override included. */
  readonly mode: BodyMode | undefined;
  /** To be sent with the answer to the headers. */
  readonly override: ModeOverride | undefined;
  /** The answer to the headers waits until the handlers have seen the whole body. */
  readonly holdsHeaders: boolean;
  /** Header changes of body handlers have an effect. */
  readonly takesHeaderChanges: boolean;
  readonly end: BodyEndSign;
  /** What is added behind the last chunk is sure to have a place. */
  readonly endKnown: boolean;
  /** As in the needs. */
  readonly needsWhole: boolean;
  readonly changes: boolean;
}

/** How the server handles a body. */
export type BodyPlan =
  | RunningBody
  /** Envoy does not send it. It passes without its handlers. */
  | { readonly kind: "unseen" }
  | Fault;

/** What a mode lacks, in a line for a fault. */
type Lack = { readonly code: "body_end_unknowable" | "body_required_unseen"; readonly why: string };

/**
 * Decides how a body is handled that has handlers: in the mode in which it comes, in another one that Envoy is asked for,
 * not at all, or that it cannot be, before any byte of it is held.
 */
export function planBody(situation: BodySituation): BodyPlan {
  const { mode, watched, chosen } = situation;
  if (watched) return mode === "NONE" ? { kind: "unseen" } : running(situation, mode ?? "STREAMED");
  return chosen === undefined ? planFreely(situation) : planChosen(situation, chosen);
}

/** The mode that an effect chose is obeyed if the handlers can run in it. */
function planChosen(situation: BodySituation, chosen: OverrideBodyMode): BodyPlan {
  const isFixed = () => "overrideMode chose the mode";
  const plan = planFreely({ ...situation, mode: chosen, override: isFixed });
  if (plan.kind === "run") {
    const override = situation.override(chosen);
    return typeof override === "string" ? plan : overriding(plan, override);
  }
  const why = plan.kind === "fault" ? plan.message : "in NONE they do not run";
  return fault(
    "mode_override_not_allowed",
    `overrideMode: ${situation.phase} ${chosen} does not serve the body's handlers: ${why}; leave the mode to the handlers, or let their when return false`,
  );
}

function planFreely(situation: BodySituation): BodyPlan {
  const { mode, needs } = situation;
  switch (mode) {
    case "NONE":
      return planUnsent(situation);
    case "STREAMED":
      return planStreamed(situation);
    case "BUFFERED":
      return planBuffered(situation);
    case "BUFFERED_PARTIAL":
      return planPartial(situation);
    case "GRPC":
      return needs.unfitForGrpc
        ? fault(
            "handler_unsupported_in_mode",
            `${situation.phase}: in GRPC mode there are grpc, chunks and inspect only`,
          )
        : running(situation, mode);
    default:
      return running(situation, mode);
  }
}

/** The modes that serve the needs where the one in force does not, the best first. */
export function wantedModes(situation: BodySituation): readonly OverrideBodyMode[] {
  const { needs, mode, bodyBytes, bufferLimitBytes } = situation;
  // After an override Envoy hangs on a body above its limit, so an assumed limit is not enough.
  const fits = bodyBytes !== undefined && bufferLimitBytes !== undefined && bodyBytes <= bufferLimitBytes;
  if ((needs.whole || needs.tail) && situation.prefersStreamed?.()) return ["STREAMED", "FULL_DUPLEX_STREAMED"];
  if (needs.whole) return fits ? ["BUFFERED", "FULL_DUPLEX_STREAMED"] : ["FULL_DUPLEX_STREAMED"];
  const needsEnd = needs.tail && bodyBytes === undefined;
  if (mode === "STREAMED") return needsEnd ? ["FULL_DUPLEX_STREAMED"] : [];
  // If Envoy ignores the override, it still obeys the answers of STREAMED, and drops those of FULL_DUPLEX_STREAMED.
  if (mode === "BUFFERED") return ["STREAMED", "FULL_DUPLEX_STREAMED"];
  const modes: OverrideBodyMode[] = needsEnd
    ? ["FULL_DUPLEX_STREAMED", "STREAMED"]
    : ["STREAMED", "FULL_DUPLEX_STREAMED"];
  return fits ? [...modes, "BUFFERED"] : modes;
}

/**
 * Headers that vouch for the bytes of a body, and the one that offers parts of it: all wrong once it is changed. A part
 * could not be changed as the whole was.
 */
export const BODY_VALIDATORS: readonly string[] = [
  "etag",
  "digest",
  "content-digest",
  "repr-digest",
  "content-md5",
  "accept-ranges",
];

/** All headers that are wrong once a body is changed: its validators, and its length. */
export const BODY_HEADERS: readonly string[] = [...BODY_VALIDATORS, "content-length"];

function planUnsent(situation: BodySituation): BodyPlan {
  const chosen = chooseOverride(situation);
  if (chosen.kind === "run") return chosen;
  if (!situation.needs.required) return { kind: "unseen" };
  const why = "Envoy does not send the body (NONE, or GRPC and it is not gRPC)";
  return lacking(situation, { code: "body_required_unseen", why }, chosen.why);
}

function planStreamed(situation: BodySituation): BodyPlan {
  const { needs, bodyBytes } = situation;
  if (!needs.whole && !(needs.tail && bodyBytes === undefined)) return running(situation, "STREAMED");
  const chosen = chooseOverride(situation);
  if (chosen.kind === "run") return chosen;
  if (!needs.whole || bodyBytes !== undefined) return running(situation, "STREAMED");
  const why = "in STREAMED, without a content-length, the end of a body may be hidden by trailers";
  return lacking(situation, { code: "body_end_unknowable", why }, chosen.why);
}

/** Handlers that take pieces leave BUFFERED, which holds an event stream back, unless the body surely fits the buffer. */
function planBuffered(situation: BodySituation): BodyPlan {
  const { needs, bodyBytes, bufferLimitBytes } = situation;
  const fits = bodyBytes !== undefined && bufferLimitBytes !== undefined && bodyBytes <= bufferLimitBytes;
  const chosen = needs.piecewise && !fits ? chooseOverride(situation) : undefined;
  return chosen?.kind === "run" ? chosen : running(situation, "BUFFERED");
}

/** Of a body above Envoy's buffer limit only the beginning comes, so the server asks for another mode if there is one. */
function planPartial(situation: BodySituation): BodyPlan {
  const { needs, bodyBytes, bufferLimitBytes } = situation;
  const isKnown = bodyBytes !== undefined && bufferLimitBytes !== undefined;
  const isCut = isKnown ? bodyBytes > bufferLimitBytes : needs.required || (bodyBytes ?? 0) > ENVOY_BUFFER_LIMIT_BYTES;
  const chosen = isCut ? chooseOverride(situation) : undefined;
  return chosen?.kind === "run" ? chosen : running(situation, "BUFFERED_PARTIAL");
}

function chooseOverride(situation: BodySituation): RunningBody | { readonly kind: "none"; readonly why: string } {
  if (!situation.answersHeaders)
    return { kind: "none", why: "Envoy did not send the headers, whose answer would carry it" };
  let why = "";
  for (const mode of wantedModes(situation)) {
    const override = situation.override(mode);
    if (typeof override !== "string") return overriding(running(situation, mode), override);
    why ||= override;
  }
  return { kind: "none", why };
}

function running(
  { needs, bodyBytes, watched, answersHeaders }: BodySituation,
  mode: BodyMode | undefined,
): RunningBody {
  const streamed = mode === "STREAMED" || mode === undefined;
  const end = streamed
    ? bodyBytes === undefined
      ? "eos"
      : "count"
    : streamsBody(mode) || returnsBody(mode)
      ? "eos"
      : "message";
  // Envoy takes no header changes in answers to a body whose headers it did not send, whatever it holds.
  const buffers = answersHeaders && (mode === "BUFFERED" || mode === "BUFFERED_PARTIAL" || mode === undefined);
  const holdsHeaders = mode === "FULL_DUPLEX_STREAMED" && needs.whole && !watched && answersHeaders;
  return {
    kind: "run",
    mode,
    override: undefined,
    holdsHeaders,
    takesHeaderChanges: holdsHeaders || watched || buffers,
    end,
    endKnown: !streamed || end === "count",
    needsWhole: needs.whole,
    changes: needs.changes,
  };
}

/** The answer that asks for a mode cannot wait for what the mode brings. */
function overriding(plan: RunningBody, override: ModeOverride): RunningBody {
  return { ...plan, override, holdsHeaders: false, takesHeaderChanges: plan.takesHeaderChanges && !plan.holdsHeaders };
}

function lacking({ phase }: BodySituation, { code, why }: Lack, refusal: string): Fault {
  const direction = directionOf(phase);
  return fault(code, `${phase}: ${why}, and Envoy cannot send the ${direction} body in another mode: ${refusal}`);
}
