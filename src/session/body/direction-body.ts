import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyClaim } from "../../processor/body-claims.ts";
import { type Answer, CONTINUE, type ContinueAnswer } from "../../protocol/answers/answer.ts";
import { mergeMetadata } from "../../protocol/answers/answer-metadata.ts";
import type { BodyMode } from "../../protocol/body-mode.ts";
import { BODY_HEADERS, REPLACED, type RunningBody, refusingPlan } from "../../protocol/exchange/body-plan.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { contentOf, tellsOfBody } from "../../protocol/headers/framing-rules.ts";
import { type HeaderFields, headerFields } from "../../protocol/headers/headers.ts";
import type { ModeOverride } from "../../protocol/mode-override.ts";
import {
  type BodyPhase,
  type Direction,
  directionOf,
  type HeaderMessage,
  type PhaseMessage,
} from "../../protocol/phase.ts";
import { unreadFault } from "../../protocol/unread-body.ts";
import { dropHeaders, PhaseWork } from "../fold/phase-work.ts";
import type { BodyWork, CurrentBody } from "../stages/current-body.ts";
import { after, type Soon, type StageEnd } from "../stages/step.ts";
import {
  type ActiveBody,
  activeBody,
  type BodySurroundings,
  misledByBeginning,
  refusePart,
  tunnelClaims,
} from "./active-claims.ts";
import { BodyModes, blamePlan } from "./body-modes.ts";
import type { BodyOutlet } from "./body-output.ts";
import { losesCodings, makeStages, refusingStage } from "./make-stages.ts";
import { type BodyMessage, BodyPipeline, type BodyPipelineOptions } from "./pipeline.ts";

/** An answer to headers that waits for the body. */
export type HeldAnswer = { readonly kind: "held" };

/** What the bodies of both directions use. */
export interface SharedByBodies extends BodySurroundings {
  readonly outlet: BodyOutlet;
  /** Handlers run, and their effects are ignored. */
  readonly shadow: boolean;
}

type Result = Answer | HeldAnswer | Fault;

const HELD: HeldAnswer = { kind: "held" };
const NO_ACTIVE: ActiveBody["active"] = [];

/** The body of one direction: decides how its handlers get it, when its headers come, and runs them. */
export class DirectionBody {
  readonly phase: BodyPhase;
  readonly #direction: Direction;
  readonly #claims: readonly BodyClaim[];
  readonly #shared: SharedByBodies;
  readonly modes: BodyModes;
  /** Processors that were found not to see the body. The session reports them. */
  readonly unseen: string[] = [];
  /** Exists while handlers need the body. */
  pipeline: BodyPipeline | undefined;
  /** The handlers that see the body. */
  #active: ActiveBody["active"] = NO_ACTIVE;
  #isOpened = false;
  #isClosed = false;
  /** True after handlers got the body. They may still hold bytes of it, even if no handler runs. */
  wasShown = false;

  constructor(phase: BodyPhase, claims: readonly BodyClaim[], shared: SharedByBodies) {
    this.phase = phase;
    this.#direction = directionOf(phase);
    this.#claims = claims;
    this.#shared = shared;
    this.modes = new BodyModes(phase, shared.exchange, shared.shadow);
  }

  /** Decides how the handlers get the body, after the handlers of its headers have run. */
  open(message: HeaderMessage, answer: ContinueAnswer): Soon<Result> {
    const { exchange } = this.#shared;
    // This handler may have been abandoned, and settled later.
    if (this.#claims.length === 0 || this.#isClosed) return answer;
    const headers = answer instanceof PhaseWork ? answer : new PhaseWork(message, exchange);
    if (headers.wholeBody !== undefined) return this.#replace(headers, headers.wholeBody);
    const content = contentOf(this.#direction, exchange);
    if (message.value.endOfStream || content === "none") {
      this.#isOpened = true;
      return this.phase === "responseBody" && tellsOfBody(exchange) ? this.#correctUnsent(headers) : answer;
    }
    const end = this.#begin(headers, content === "tunnel");
    if (end !== undefined) return end;
    return this.pipeline?.heldHeaders === undefined ? headers : HELD;
  }

  /** Takes a piece of the body. */
  take(message: BodyMessage): Soon<Result> {
    const unread = unreadFault(message.value);
    // Envoy sends a body without its headers if the mode of the headers is SKIP.
    const end = this.#isOpened ? undefined : this.#begin(undefined, false);
    if (end !== undefined) return end;
    const pipeline = this.pipeline;
    if (pipeline === undefined) return CONTINUE;
    if (unread !== undefined) return pipeline.ended ? CONTINUE : this.#passUnread(unread);
    if (pipeline.isBeginning(message)) {
      const misled = misledByBeginning(this.#active);
      if ("kind" in misled) return misled;
      this.#tellUnseen(misled);
    }
    return pipeline.take(message);
  }

  /** Trailers end the body. Returns undefined if no handler needs to know. */
  finish(message: PhaseMessage): Soon<BodyWork | StageEnd> | undefined {
    return this.pipeline?.finish(message);
  }

  /** The handlers are no longer needed. */
  close(): void {
    this.#isClosed = true;
    this.pipeline?.close();
    this.pipeline = undefined;
  }

  /** Handles a piece of a body that has too many bytes to be read. It passes only if no handler has to see it. */
  #passUnread(unread: Fault): Result {
    const mayPass = this.#claims.every(
      ({ handler }) => "overLimit" in handler && handler.overLimit === "pass" && handler.required !== true,
    );
    // If the body comes in one message, nothing of it was held before.
    const mode = this.#shared.exchange.bodyMode(this.#direction);
    if (!mayPass || (mode !== "BUFFERED" && mode !== "BUFFERED_PARTIAL")) return unread;
    this.close();
    this.#tellUnseen(this.#claims.map((claim) => ({ claim })));
    return CONTINUE;
  }

  /**
   * Starts the handlers, if they need the body. Returns a fault or an answer if they cannot get it. A tunnel has neither
   * a length nor codings. Only handlers that ask for upgrades see it, and Envoy need not send it for the others.
   */
  #begin(headers: PhaseWork | undefined, isTunnel: boolean): StageEnd | undefined {
    const { modes } = this;
    const { exchange, chain } = this.#shared;
    this.#isOpened = true;
    const all = activeBody(this.phase, this.#claims, this.#shared);
    if ("kind" in all) return all;
    const tunnel = isTunnel ? tunnelClaims(all) : undefined;
    if (tunnel !== undefined && "kind" in tunnel) return tunnel;
    if (tunnel !== undefined) this.#tellUnseen(tunnel.missing);
    const found = { body: all.body, active: tunnel?.watching ?? all.active };
    const claims = found.active.map(({ claim }) => claim);
    if (claims.length === 0) {
      if (headers) modes.askForNone(headers);
      return undefined;
    }
    const inForce = exchange.bodyMode(this.#direction);
    const bodyBytes = isTunnel ? undefined : exchange.bodyBytes(this.#direction);
    if (bodyBytes === 0) {
      const why = `${this.phase}: the body has bytes, and its content-length is 0`;
      return this.#refuse(found.body, headers, fault("body_end_unknowable", why), { mode: inForce });
    }
    // Envoy would wait for the end of a tunnel that it buffers.
    const mode = isTunnel && inForce?.startsWith("BUFFERED") ? "NONE" : inForce;
    const plan = modes.plan(claims, { headers, bodyBytes, mode });
    if (plan.kind === "fault") {
      const problem = blamePlan(plan, claims, (index) => chain.nameOf(index));
      // A body that Envoy does not send, or whose pieces are messages, does not show whether it is empty.
      return plan.code === "body_end_unknowable" ? this.#refuse(found.body, headers, problem, { mode }) : problem;
    }
    if (plan.kind === "unseen") {
      this.#tellUnseen(found.active);
      return undefined;
    }
    const part = plan.changes ? refusePart(found) : undefined;
    const problem = part ?? this.#start(found, plan, headers, { bodyBytes, fields: isTunnel ? [] : this.#fields });
    return problem && this.#refuse(found.body, headers, problem, plan);
  }

  /** Makes the pipeline, and completes the answer to the headers. */
  #start(
    found: ActiveBody,
    plan: RunningBody,
    headers: PhaseWork | undefined,
    { bodyBytes, fields }: { readonly bodyBytes: number | undefined; readonly fields: HeaderFields },
  ): StageEnd | undefined {
    const { modes } = this;
    const made = makeStages(found.active, { fields, endKnown: plan.endKnown, mode: plan.mode });
    if ("kind" in made) return made;
    this.#run(found, { plan, stages: made.stages, bodyBytes, heldHeaders: plan.holdsHeaders ? headers : undefined });
    this.wasShown = true;
    if (headers === undefined) return undefined;
    if (plan.override) headers.modeOverride = plan.override;
    const kept = modes.keptLength(plan);
    if (kept !== undefined || modes.watched) return kept;
    const leavesFirst = plan.mode === "STREAMED" || (plan.mode === "FULL_DUPLEX_STREAMED" && !plan.holdsHeaders);
    if (plan.changes && leavesFirst) dropHeaders(headers, BODY_HEADERS);
    return made.losesCodings ? dropHeaders(headers, ["content-encoding"]) : undefined;
  }

  /** Fails a body that its handlers cannot get: at its first byte, or at once if it is known to have bytes. */
  #refuse(
    body: CurrentBody,
    headers: PhaseWork | undefined,
    problem: StageEnd,
    { mode, override }: { readonly mode: BodyMode | undefined; readonly override?: ModeOverride | undefined },
  ): StageEnd | undefined {
    const isFull = (this.#shared.exchange.bodyBytes(this.#direction) ?? 0) > 0;
    if (isFull || problem.kind !== "fault") return problem;
    const holds = mode === "FULL_DUPLEX_STREAMED" && override === undefined && !this.modes.watched;
    const heldHeaders = holds ? headers : undefined;
    const plan = refusingPlan(mode, { holdsHeaders: heldHeaders !== undefined, override });
    const how = { plan, stages: [refusingStage(problem)], bodyBytes: undefined, heldHeaders };
    this.#run({ body, active: NO_ACTIVE }, how);
    if (headers && override) headers.modeOverride = override;
    return undefined;
  }

  #run({ body, active }: ActiveBody, how: Omit<BodyPipelineOptions, "watched" | "outlet">): BodyPipeline {
    this.#active = active;
    this.pipeline = new BodyPipeline(body, { ...how, watched: this.modes.watched, outlet: this.#shared.outlet });
    return this.pipeline;
  }

  /** Corrects headers that describe the body of a GET: handlers would have changed that body. */
  #correctUnsent(headers: PhaseWork): Result {
    const { modes } = this;
    const { exchange } = this.#shared;
    const found = activeBody(this.phase, this.#claims, this.#shared);
    if ("kind" in found) return found;
    if (found.active.length === 0 || modes.watched) return headers;
    const claims = found.active.map(({ claim }) => claim);
    const plan = modes.plan(claims, { headers, bodyBytes: exchange.declaredBytes(this.#direction) });
    if (plan.kind !== "run" || !plan.changes) return headers;
    const loses = losesCodings(found.active, { fields: this.#fields, endKnown: plan.endKnown });
    dropHeaders(headers, loses ? [...BODY_HEADERS, "content-encoding"] : BODY_HEADERS);
    return headers;
  }

  /** Gives the handlers the body that an effect put there instead of the original. */
  #replace(headers: PhaseWork, bytes: Uint8Array): Soon<Result> {
    this.#isOpened = true;
    const found = activeBody(this.phase, this.#claims, this.#shared);
    if ("kind" in found) return found;
    if (found.active.length === 0) return headers;
    const made = makeStages(found.active, { fields: [], endKnown: true, mode: "BUFFERED" });
    if ("kind" in made) return made;
    const how = { plan: REPLACED, stages: made.stages, bodyBytes: undefined, heldHeaders: undefined };
    const pipeline = this.#run(found, how);
    return after(pipeline.replace(plainBytes(bytes)), (body) => {
      pipeline.close();
      this.pipeline = undefined;
      if (!(body instanceof Uint8Array)) return body;
      const { work } = found.body;
      for (const change of work.headerChanges) headers.change(change);
      Object.assign(headers, mergeMetadata(headers, work));
      headers.wholeBody = body;
      return headers;
    });
  }

  get #fields(): HeaderFields {
    const message = this.#shared.exchange.headers(this.#direction);
    return message ? headerFields(message) : [];
  }

  #tellUnseen(active: readonly { readonly claim: BodyClaim }[]): void {
    for (const { claim } of active) this.unseen.push(this.#shared.chain.nameOf(claim.index));
  }
}
