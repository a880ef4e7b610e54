import type { Problem } from "../../text/problem.ts";
import { type BodyMode, returnsBody } from "../body-mode.ts";
import { ENVOY_BUFFER_LIMIT_BYTES } from "../envoy-declaration.ts";
import { type Fault, fault } from "../fault.ts";
import { type ModeOverride, type OverrideBodyMode, streamsBody } from "../mode-override.ts";
import { type BodyPhase, directionOf } from "../phase.ts";

/** What the handlers of a body need together. */
export interface BodyNeeds {
  /** One of them needs the whole body before it can answer. */
  readonly whole: boolean;
  /** One of them may add bytes after the last chunk. */
  readonly tail: boolean;
  /** One of them may change the body. Otherwise all of them only read it. */
  readonly changes: boolean;
  /** One of them must see the body. */
  readonly required: boolean;
  /** All of them take the body in pieces, and none can change headers. A buffered body does not help them. */
  readonly piecewise: boolean;
  /** One of them does not work in GRPC mode, in which a piece of the body is a gRPC message. */
  readonly unfitForGrpc: boolean;
}

/** What is known at the beginning of a body. */
export interface BodySituation {
  readonly phase: BodyPhase;
  readonly needs: BodyNeeds;
  /** The mode in force; undefined if Envoy did not say. */
  readonly mode: BodyMode | undefined;
  /** The length of the body, from `content-length`; undefined if it is not known. */
  readonly bodyBytes: number | undefined;
  /** False if the body came without headers: no answer is left that could carry an override. */
  readonly answersHeaders: boolean;
  /** Envoy ignores the answers (observability mode), or the server sends only neutral ones (shadow mode). */
  readonly watched: boolean;
  /** How much of a body Envoy buffers, in bytes; undefined if the operator did not declare it. */
  readonly bufferLimitBytes: number | undefined;
  /** The mode that an effect of a header handler chose; undefined if no effect chose one. */
  readonly chosen?: OverrideBodyMode | undefined;
  /** Completes an override to a mode. A problem says why Envoy would not obey it. */
  override(mode: OverrideBodyMode): ModeOverride | Problem;
  /** True if STREAMED with its trailers is a better override than FULL_DUPLEX_STREAMED. Default: false. */
  prefersStreamed?(): boolean;
}

/**
 * The sign of the end of a body.
 *
 * - `message`: the body has only one message.
 * - `eos`: the end of the stream, or trailers in FULL_DUPLEX_STREAMED and GRPC.
 * - `count`: as many bytes as `content-length` says, because trailers would hide the end.
 */
export type BodyEndSign = "message" | "eos" | "count";

/** How a body with handlers is handled. */
export interface RunningBody {
  readonly kind: "run";
  /** The mode of the body, including an override. */
  readonly mode: BodyMode | undefined;
  /** Sent with the answer to the headers. */
  readonly override: ModeOverride | undefined;
  /** The answer to the headers waits until the handlers have seen the whole body. */
  readonly holdsHeaders: boolean;
  /** Header changes of body handlers have an effect. */
  readonly takesHeaderChanges: boolean;
  readonly end: BodyEndSign;
  /** Bytes after the last chunk are certain to be accepted. */
  readonly endKnown: boolean;
  /** One of the handlers needs the whole body. */
  readonly needsWhole: boolean;
  readonly changes: boolean;
}

/** How the server handles a body. */
export type BodyPlan =
  | RunningBody
  /** Envoy does not send the body. It passes without its handlers. */
  | { readonly kind: "unseen" }
  | Fault;

/** Why a mode cannot serve the handlers, as a line for a fault. */
type Lack = { readonly code: "body_end_unknowable" | "body_required_unseen"; readonly why: string };

/**
 * Decides how a body with handlers is handled, before any byte of it is held: in the mode in which it comes, in another
 * mode that Envoy is asked for, or without its handlers. Returns a fault if none of this is possible.
 */
export function planBody(situation: BodySituation): BodyPlan {
  const { mode, watched, chosen } = situation;
  if (watched) return mode === "NONE" ? { kind: "unseen" } : running(situation, mode ?? "STREAMED");
  return chosen === undefined ? planFreely(situation) : planChosen(situation, chosen);
}

/** Uses the mode that an effect chose, if the handlers can run in it. */
function planChosen(situation: BodySituation, chosen: OverrideBodyMode): BodyPlan {
  const isFixed = () => ({ problem: "overrideMode chose the mode" });
  const plan = planFreely({ ...situation, mode: chosen, override: isFixed });
  if (plan.kind === "run") {
    const override = situation.override(chosen);
    return "problem" in override ? plan : overriding(plan, override);
  }
  const why = plan.kind === "fault" ? plan.message : "in NONE they do not run";
  return fault(
    "mode_override_not_allowed",
    `overrideMode: ${situation.phase} ${chosen} does not work for the body's handlers: ${why}; leave the mode to the handlers, or let their when return false`,
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
            `${situation.phase}: in GRPC mode only grpc, chunks and inspect handlers work`,
          )
        : running(situation, mode);
    default:
      return running(situation, mode);
  }
}

/** The modes to ask for if the mode in force does not serve the needs. The best one comes first. */
export function wantedModes(situation: BodySituation): readonly OverrideBodyMode[] {
  const { needs, mode, bodyBytes, bufferLimitBytes } = situation;
  // After an override Envoy hangs on a body above its limit, so an assumed limit is not good enough.
  const fits = bodyBytes !== undefined && bufferLimitBytes !== undefined && bodyBytes <= bufferLimitBytes;
  if ((needs.whole || needs.tail) && situation.prefersStreamed?.()) return ["STREAMED", "FULL_DUPLEX_STREAMED"];
  if (needs.whole) return fits ? ["BUFFERED", "FULL_DUPLEX_STREAMED"] : ["FULL_DUPLEX_STREAMED"];
  const needsEnd = needs.tail && bodyBytes === undefined;
  if (mode === "STREAMED") return needsEnd ? ["FULL_DUPLEX_STREAMED"] : [];
  // If Envoy ignores the override, it still obeys the answers of STREAMED, but drops those of FULL_DUPLEX_STREAMED.
  if (mode === "BUFFERED") return ["STREAMED", "FULL_DUPLEX_STREAMED"];
  const modes: OverrideBodyMode[] = needsEnd
    ? ["FULL_DUPLEX_STREAMED", "STREAMED"]
    : ["STREAMED", "FULL_DUPLEX_STREAMED"];
  return fits ? [...modes, "BUFFERED"] : modes;
}

/**
 * Headers that describe the exact bytes of a body, and the header that offers parts of it. They are all wrong after the
 * body is changed. A part could not be changed in the same way as the whole.
 */
export const BODY_VALIDATORS: readonly string[] = [
  "etag",
  "digest",
  "content-digest",
  "repr-digest",
  "content-md5",
  "accept-ranges",
];

/** All headers that are wrong after a body is changed: its validators and its length. */
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

/**
 * Handlers that take pieces avoid BUFFERED, which would hold back an event stream, unless the body certainly fits the
 * buffer.
 */
function planBuffered(situation: BodySituation): BodyPlan {
  const { needs, bodyBytes, bufferLimitBytes } = situation;
  const fits = bodyBytes !== undefined && bufferLimitBytes !== undefined && bodyBytes <= bufferLimitBytes;
  const chosen = needs.piecewise && !fits ? chooseOverride(situation) : undefined;
  return chosen?.kind === "run" ? chosen : running(situation, "BUFFERED");
}

/**
 * Of a body above Envoy's buffer limit only the beginning comes. So the server asks for another mode, if one is
 * possible.
 */
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
    if (!("problem" in override)) return overriding(running(situation, mode), override);
    why ||= override.problem;
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
  // If Envoy did not send the headers, it accepts no header changes in answers to the body.
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

/** The answer that asks for a mode cannot wait for the body that comes in that mode. */
function overriding(plan: RunningBody, override: ModeOverride): RunningBody {
  return { ...plan, override, holdsHeaders: false, takesHeaderChanges: plan.takesHeaderChanges && !plan.holdsHeaders };
}

function lacking({ phase }: BodySituation, { code, why }: Lack, refusal: string): Fault {
  const direction = directionOf(phase);
  return fault(code, `${phase}: ${why}, and Envoy cannot send the ${direction} body in another mode: ${refusal}`);
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
