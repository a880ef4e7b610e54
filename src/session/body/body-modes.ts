import { type BodyClaim, needsOf } from "../../processor/body-claims.ts";
import { refuseKeptLength, refuseLengthRemoval } from "../../protocol/answers/content-length.ts";
import type { BodyMode } from "../../protocol/body-mode.ts";
import { type BodyNeeds, type BodyPlan, planBody, type RunningBody } from "../../protocol/exchange/body-plan.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { header, headerFields, isGrpc } from "../../protocol/headers/headers.ts";
import { type ModeOverride, type OverrideBodyMode, streamsBody } from "../../protocol/mode-override.ts";
import { type BodyPhase, type Direction, directionOf, isHeaderPhase, trailerPhaseOf } from "../../protocol/phase.ts";
import type { Problem } from "../../text/problem.ts";
import type { PhaseWork } from "../fold/phase-work.ts";

const NO_CHANGE: Problem = { problem: "it changes nothing" };

/** What a body's plan depends on, besides its handlers. */
export interface Planned {
  /** The answer to the headers; undefined if no headers wait for an answer. */
  readonly headers: PhaseWork | undefined;
  /** The length of the body, if it is known. */
  readonly bodyBytes: number | undefined;
  /** Default: the mode in force. */
  readonly mode?: BodyMode | undefined;
}

/** Decides in which mode a body comes, and which override asks Envoy for it. */
export class BodyModes {
  readonly #phase: BodyPhase;
  readonly #direction: Direction;
  readonly #exchange: MessageExchange;
  readonly #shadow: boolean;
  /** The body mode that an effect of a header handler chose. */
  chosen: OverrideBodyMode | undefined;

  /** @param shadow Handlers run, and their effects are ignored. */
  constructor(phase: BodyPhase, exchange: MessageExchange, shadow: boolean) {
    this.#phase = phase;
    this.#direction = directionOf(phase);
    this.#exchange = exchange;
    this.#shadow = shadow;
  }

  /**
   * True if nothing is asked of Envoy, because the server runs in shadow mode or Envoy in observability mode. The first
   * message of a stream says whether Envoy does.
   */
  get watched(): boolean {
    return this.#shadow || this.#exchange.observabilityMode;
  }

  /** Plans the body for the handlers of these claims. */
  plan(claims: readonly BodyClaim[], { headers, bodyBytes, mode }: Planned): BodyPlan {
    const exchange = this.#exchange;
    const needs = needsOf(claims);
    return planBody({
      phase: this.#phase,
      needs,
      prefersStreamed: () =>
        bodyBytes === undefined && this.#direction === "response" && this.#prefersStreamedResponse(needs),
      mode: mode ?? exchange.bodyMode(this.#direction),
      chosen: this.chosen,
      bodyBytes,
      answersHeaders: headers !== undefined,
      watched: this.watched,
      bufferLimitBytes: exchange.declaration.bufferLimitBytes,
      override: (mode) => {
        const problem = this.#lengthBars(mode, needs);
        return problem === undefined ? this.#override(mode, headers, needs) : { problem };
      },
    });
  }

  /** Returns a fault if Envoy keeps the length of a body that handlers change while it streams. */
  keptLength({ changes, mode }: RunningBody): Fault | undefined {
    if (!changes || !streamsBody(mode) || this.watched) return undefined;
    const exchange = this.#exchange;
    const kept = refuseKeptLength(exchange.bodyState(this.#direction), exchange.declaration);
    return kept === undefined ? undefined : fault("mutation_not_allowed", `${this.#phase}: ${kept}`);
  }

  /** Asks Envoy not to send a body that no handler wants. */
  askForNone(headers: PhaseWork): void {
    const mode = this.#exchange.bodyMode(this.#direction);
    if (this.watched || this.chosen !== undefined) return;
    if (mode === undefined || mode === "NONE" || mode === "GRPC") return;
    const override = this.#override("NONE", headers);
    if (!("problem" in override)) headers.modeOverride = override;
  }

  /**
   * Says why a streaming override is not possible: Envoy keeps the length of a body that it was configured to buffer or
   * not to send.
   */
  #lengthBars(mode: OverrideBodyMode, { changes }: BodyNeeds): string | undefined {
    if (!changes || !streamsBody(mode)) return undefined;
    const { declaration } = this.#exchange;
    return refuseLengthRemoval(this.#exchange.bodyState(this.#direction), declaration.mutationRules);
  }

  /**
   * True if STREAMED is the better mode for a response whose length is not known. Before 1.40 Envoy hangs on an empty
   * response after an override to FULL_DUPLEX_STREAMED, and no message can tell such a response from a slow one.
   * STREAMED does not hang. But in STREAMED nothing can be added after the body if trailers come, and a coding's end
   * cannot be written. And with `failure_mode_allow` Envoy continues with the rest of a body that failed.
   */
  #prefersStreamedResponse({ whole }: BodyNeeds): boolean {
    const { declaration } = this.#exchange;
    const headers = this.#exchange.headers("response");
    if (headers === undefined) return false;
    const hasTrailers = isGrpc(headerFields(headers)) || header(headers, "trailer") !== undefined;
    const isCoded = header(headers, "content-encoding") !== undefined;
    return !declaration.failureModeAllow && !hasTrailers && (whole || !isCoded);
  }

  #override(mode: OverrideBodyMode, headers: PhaseWork | undefined, needs?: BodyNeeds): ModeOverride | Problem {
    if (headers === undefined || !isHeaderPhase(headers.message.case))
      return { problem: "there are no headers to answer" };
    const exchange = this.#exchange;
    const { case: answered } = headers.message;
    const wanted = { ...headers.modeOverride, [this.#phase]: mode };
    const resolve = (more: ModeOverride) => exchange.resolveModeOverride({ ...wanted, ...more }, answered);
    const more = exchange.bodyBytes(this.#direction) === undefined ? unknownLength(this.#phase, mode) : undefined;
    const told = more ? resolve({ ...more, ...wanted }) : undefined;
    const works = told !== undefined && !("problem" in told);
    // Without trailers the end of a streamed body cannot be seen.
    if (more && mode === "STREAMED" && needs?.whole && !works) return told ?? NO_CHANGE;
    return (works ? told : resolve({})) ?? NO_CHANGE;
  }
}

/**
 * Returns what to ask for besides a mode if the length of the body is not known. Trailers would hide the end of a
 * streamed body. In FULL_DUPLEX_STREAMED an empty request hangs, and can be released only while Envoy still has to send
 * a response.
 */
function unknownLength(phase: BodyPhase, mode: OverrideBodyMode): ModeOverride | undefined {
  if (mode === "STREAMED") return { [trailerPhaseOf(phase)]: "SEND" };
  return mode === "FULL_DUPLEX_STREAMED" && phase === "requestBody" ? { responseHeaders: "SEND" } : undefined;
}

/**
 * Adds the processors whose needs cannot be met to the fault. If the mode is right for another handler of the same
 * body, both processors are named, because they cannot share it.
 */
export function blamePlan(problem: Fault, claims: readonly BodyClaim[], nameOf: (index: number) => string): Fault {
  const { code, message } = problem;
  const inNeed = claims.filter((claim) => isInNeed(claim, code));
  const [first] = inNeed;
  if (first === undefined) return problem;
  const shown = (claim: BodyClaim) => `"${nameOf(claim.index)}" (${claim.handler.read})`;
  // A body that Envoy does not send is useful to no handler.
  const served = code === "body_required_unseen" ? undefined : claims.find((claim) => !inNeed.includes(claim));
  const text = served
    ? `processors ${shown(served)} and ${shown(first)} cannot share a mode: ${message}`
    : `processor ${inNeed.map(shown).join(", ")}, ${message}`;
  return inNeed.length === 1 ? fault(code, text, { processor: nameOf(first.index) }) : fault(code, text);
}

function isInNeed(claim: BodyClaim, code: Fault["code"]): boolean {
  const needs = needsOf([claim]);
  switch (code) {
    case "body_end_unknowable":
      return needs.whole;
    case "body_required_unseen":
      return needs.required;
    case "handler_unsupported_in_mode":
      return needs.unfitForGrpc;
    default:
      return true;
  }
}
