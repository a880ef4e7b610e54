import type { BodyMode } from "../../protocol/body-mode.ts";
import { type BodyPlan, planBody, type RunningBody } from "../../protocol/body-plan.ts";
import type { Exchange } from "../../protocol/exchange.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { type ModeOverride, type OverrideBodyMode, streamsBody } from "../../protocol/mode-override.ts";
import { type BodyPhase, type Direction, directionOf, isHeaderPhase, trailerPhaseOf } from "../../protocol/phase.ts";
import { refuseKeptLength, refuseLengthRemoval } from "../../protocol/protected-length.ts";
import type { PhaseWork } from "../phase-work.ts";
import { type BodyClaim, needsOf } from "./body-claims.ts";

/** What a body is planned by. */
export interface Planned {
  /** The answer to the headers; undefined if there are none to answer. */
  readonly headers: PhaseWork | undefined;
  /** Bytes of the body, if they are known. */
  readonly bodyBytes: number | undefined;
  /** Default: the mode in force. */
  readonly mode?: BodyMode | undefined;
}

/** Decides in which mode the bodies of a transaction come, and which override asks Envoy for it. */
export class BodyModes {
  readonly #exchange: Exchange;
  readonly #shadow: boolean;
  /** The body modes that effects of header handlers chose. */
  readonly #chosen: Record<Direction, OverrideBodyMode | undefined> = { request: undefined, response: undefined };

  /** @param shadow Handlers run, and nothing that they do is enforced. */
  constructor(exchange: Exchange, shadow: boolean) {
    this.#exchange = exchange;
    this.#shadow = shadow;
  }

  /** Nothing is asked of Envoy: the server, or Envoy, only observes. The first message of a stream says so of Envoy. */
  get watched(): boolean {
    return this.#shadow || this.#exchange.observabilityMode;
  }

  /** Keeps the body modes that an effect of a header handler chose. */
  choose({ requestBody, responseBody }: ModeOverride): void {
    this.#chosen.request = requestBody ?? this.#chosen.request;
    this.#chosen.response = responseBody ?? this.#chosen.response;
  }

  /** Plans a body for the handlers of these claims. */
  plan(phase: BodyPhase, claims: readonly BodyClaim[], { headers, bodyBytes, mode }: Planned): BodyPlan {
    const exchange = this.#exchange;
    return planBody({
      phase,
      needs: needsOf(claims),
      mode: mode ?? exchange.bodyMode(directionOf(phase)),
      chosen: this.#chosen[directionOf(phase)],
      bodyBytes,
      answersHeaders: headers !== undefined,
      watched: this.watched,
      bufferLimitBytes: exchange.declaration.bufferLimitBytes,
      override: (mode) => this.#lengthBars(phase, mode, claims) ?? this.#override(phase, mode, headers),
    });
  }

  /** A fault if Envoy keeps the length of a body that handlers change as it streams. */
  keptLength(phase: BodyPhase, { changes, mode }: RunningBody): Fault | undefined {
    if (!changes || !streamsBody(mode) || this.watched) return undefined;
    const exchange = this.#exchange;
    const kept = refuseKeptLength(exchange.bodyState(directionOf(phase)), exchange.declaration);
    return kept === undefined ? undefined : fault("mutation_not_allowed", `${phase}: ${kept}`);
  }

  /** Asks Envoy not to send a body that no handler wants. */
  askForNone(phase: BodyPhase, headers: PhaseWork): void {
    const mode = this.#exchange.bodyMode(directionOf(phase));
    if (this.watched || this.#chosen[directionOf(phase)] !== undefined) return;
    if (mode === undefined || mode === "NONE" || mode === "GRPC") return;
    const override = this.#override(phase, "NONE", headers);
    if (typeof override !== "string") headers.modeOverride = override;
  }

  /** Envoy keeps the length of a body that it was configured to hold, or not to send, and is then told to stream. */
  #lengthBars(phase: BodyPhase, mode: OverrideBodyMode, claims: readonly BodyClaim[]): string | undefined {
    if (!needsOf(claims).changes || !streamsBody(mode)) return undefined;
    const { declaration } = this.#exchange;
    return refuseLengthRemoval(this.#exchange.bodyState(directionOf(phase)), declaration.mutationRules);
  }

  #override(phase: BodyPhase, mode: OverrideBodyMode, headers: PhaseWork | undefined): ModeOverride | string {
    if (headers === undefined || !isHeaderPhase(headers.message.case)) return "there are no headers to answer";
    const exchange = this.#exchange;
    const { case: answered } = headers.message;
    const wanted = { ...headers.modeOverride, [phase]: mode };
    const resolve = (more: ModeOverride) => exchange.resolveModeOverride({ ...wanted, ...more }, answered);
    const hidesEnd = mode === "STREAMED" && exchange.bodyBytes(directionOf(phase)) === undefined;
    const told = hidesEnd ? resolve({ [trailerPhaseOf(phase)]: "SEND" }) : undefined;
    return (typeof told === "object" ? told : resolve({})) ?? "it changes nothing";
  }
}
