import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { Answer, ContinueAnswer } from "../../protocol/answer.ts";
import { BODY_VALIDATORS, type BodyPlan, planBody, type RunningBody } from "../../protocol/body-plan.ts";
import type { Exchange } from "../../protocol/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import { hasNoBody, isPartOfMore } from "../../protocol/framing-rules.ts";
import { headerFields } from "../../protocol/headers.ts";
import { type ModeOverride, type OverrideBodyMode, streamsBody } from "../../protocol/mode-override.ts";
import {
  type BodyPhase,
  type Direction,
  directionOf,
  type HeaderPhase,
  isBodyPhase,
  isHeaderPhase,
  type PhaseMessage,
} from "../../protocol/phase.ts";
import { refuseLengthRemoval } from "../../protocol/protected-length.ts";
import { dropHeaders } from "../drop-headers.ts";
import type { SendEarly } from "../early-answers.ts";
import { mergeMetadata } from "../merge-metadata.ts";
import { PhaseWork } from "../phase-work.ts";
import type { ChainOwner, HandlerChain } from "../run-handlers.ts";
import type { RunRules } from "../run-rules.ts";
import { ScopedTransaction } from "../transaction.ts";
import { blamePlan } from "./blame-plan.ts";
import { type BodyBudget, DEFAULT_BODY_BUDGET, StreamBudget } from "./body-budget.ts";
import { type BodyClaim, type BodyClaims, needsOf } from "./body-claims.ts";
import { BodyFlow, type BodyFlowOptions, type BodyMessage } from "./body-flow.ts";
import type { StageEnd } from "./body-stage.ts";
import { type ActiveClaim, bodyStages } from "./body-stages.ts";
import { grpcCall } from "./grpc-call.ts";
import { LateScene } from "./late-scene.ts";
import { after, type Soon } from "./soon.ts";
import { StageHost } from "./stage-host.ts";

/** An answer that waits for the body: nothing is said yet. */
export interface HeldAnswer {
  readonly kind: "held";
}

/** What comes of a message. */
export type RunResult = Answer | HeldAnswer | Fault;

/** Whoever runs bodies. */
export interface BodyOwner extends ChainOwner {
  /** Envoy does not send a body that handlers of these processors want, or only its beginning. */
  bodyUnseen(phase: BodyPhase, processors: readonly string[]): void;
}

/** What a {@link BodyRunner} works with. */
export interface BodyRunnerOptions {
  readonly rules: RunRules;
  readonly claims: BodyClaims;
  readonly chain: HandlerChain;
  readonly exchange: Exchange;
  readonly owner: BodyOwner;
  readonly budget?: BodyBudget | undefined;
  /** Undefined: what is made of a piece is held until it is answered. */
  readonly sendEarly: SendEarly | undefined;
}

const NO_BODIES: readonly BodyPhase[] = [];
const HELD: HeldAnswer = { kind: "held" };

/** Runs the handlers of a transaction in which bodies have handlers too. */
export class BodyRunner {
  readonly #options: BodyRunnerOptions;
  readonly #budget: StreamBudget;
  readonly #flows: Record<Direction, BodyFlow | undefined> = { request: undefined, response: undefined };
  readonly #opened: Record<Direction, boolean> = { request: false, response: false };
  readonly #closed: Record<Direction, boolean> = { request: false, response: false };
  readonly #looked: Record<Direction, boolean> = { request: false, response: false };

  constructor(options: BodyRunnerOptions) {
    this.#options = options;
    this.#budget = new StreamBudget(options.budget ?? DEFAULT_BODY_BUDGET);
  }

  /** Runs the handlers of a message. */
  run(message: PhaseMessage): Soon<RunResult> {
    if (isHeaderMessage(message)) {
      return after(this.#options.chain.run(message), (answer) =>
        answer.kind === "continue" ? this.#open(message, answer) : answer,
      );
    }
    if (isBodyMessage(message)) return this.#runBody(message);
    const flow = this.#flows[directionOf(message.case)];
    if (flow === undefined) return this.#options.chain.run(message);
    return after(flow.finish(message), (ended) =>
      ended.kind === "continue" ? this.#runTrailers(message, ended) : ended,
    );
  }

  /** True once handlers look at the body of a direction: they may have kept bytes of it, even where none runs any more. */
  looksAt(direction: Direction): boolean {
    return this.#looked[direction];
  }

  /**
   * What is left of a body, where the stream is over and its end was not seen: in STREAMED trailers hide it, and nobody
   * can tell that from a client that went away. Of a transaction that did not come to its end by itself, only a request
   * counts to which there is a response.
   */
  lostTail(completed: boolean): Soon<Fault | undefined> {
    const { request, response } = this.#flows;
    const isAnswered = completed || this.#options.exchange.headers("response") !== undefined;
    const ofRequest = isAnswered ? request?.lostTail : undefined;
    const ofResponse = completed ? response?.lostTail : undefined;
    return after(ofRequest, (lost) => lost ?? ofResponse);
  }

  /** Bodies in GRPC mode of which Envoy sent nothing, though it announced the mode. */
  get neverSent(): readonly BodyPhase[] {
    const { request, response } = this.#flows;
    if (!request?.isUnseen && !response?.isUnseen) return NO_BODIES;
    return [
      ...(request?.isUnseen ? ["requestBody" as const] : []),
      ...(response?.isUnseen ? ["responseBody" as const] : []),
    ];
  }

  /** The headers of a direction whose answer is held back. */
  heldHeaders(direction: Direction): PhaseMessage | undefined {
    return this.#flows[direction]?.heldHeaders;
  }

  /** Nobody waits any more for the handlers of a direction. */
  close(direction: Direction): void {
    this.#closed[direction] = true;
    this.#flows[direction]?.close();
    this.#flows[direction] = undefined;
  }

  #runTrailers(message: PhaseMessage, body: ContinueAnswer): Soon<RunResult> {
    return after(this.#options.chain.run(message), (answer) => {
      if (answer.kind !== "continue") return answer;
      const { prelude } = body;
      return { kind: "continue", headerChanges: answer.headerChanges, prelude, ...mergeMetadata(body, answer) };
    });
  }

  #runBody(message: BodyMessage): Soon<RunResult> {
    const direction = directionOf(message.case);
    if (this.#opened[direction]) return this.#flows[direction]?.take(message) ?? CONTINUE_UNSEEN;
    // Envoy sends the body without its headers where their mode is SKIP.
    const opened = this.#openFlow(message.case, undefined);
    if (opened !== undefined) return opened;
    return this.#flows[direction]?.take(message) ?? CONTINUE_UNSEEN;
  }

  #open(message: HeaderMessage, answer: ContinueAnswer): Soon<RunResult> {
    const phase = bodyPhaseOf(message.case);
    const { exchange, claims } = this.#options;
    // A handler that nobody waits for any more has come to its end after all.
    if (claims[directionOf(phase)].length === 0 || this.#closed[directionOf(phase)]) return answer;
    const work = answer instanceof PhaseWork ? answer : new PhaseWork(message, exchange);
    if (work.wholeBody !== undefined) return this.#replace(message, work, work.wholeBody);
    if (message.value.endOfStream || isBodiless(message, exchange)) {
      this.#opened[directionOf(phase)] = true;
      return answer;
    }
    const ended = this.#openFlow(phase, work);
    if (ended !== undefined) return ended;
    return this.heldHeaders(directionOf(phase)) === undefined ? work : HELD;
  }

  /** Makes the flow of a body, where there is one to be; a value where there cannot be. */
  #openFlow(phase: BodyPhase, headers: PhaseWork | undefined): StageEnd | undefined {
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const scene = new LateScene();
    const active = this.#activeClaims(phase, scene);
    if (!Array.isArray(active)) return active as StageEnd;
    if (active.length === 0) {
      if (headers) this.#askForNone(phase, headers);
      return undefined;
    }
    const claims = active.map(({ claim }) => claim);
    const plan = this.#plan(phase, claims, headers);
    if (plan.kind === "fault") return blamePlan(plan, claims, (index) => this.#options.chain.nameOf(index));
    if (plan.kind === "unseen") {
      this.#tellUnseen(phase, claims);
      return undefined;
    }
    return this.#startFlow({ phase, plan, active, scene, headers });
  }

  #startFlow({ phase, plan, active, scene, headers }: FlowStart): StageEnd | undefined {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    const partial = this.#partialContent(phase, plan, active);
    if (partial !== undefined) return partial;
    const heldHeaders = plan.holdsHeaders ? headers : undefined;
    const flow = this.#newFlow({ phase, plan, active, bodyBytes: exchange.bodyBytes(direction), heldHeaders });
    scene.scene = flow;
    const message = exchange.headers(direction);
    const fields = message ? headerFields(message) : [];
    const made = bodyStages(active, { phase, fields, endKnown: plan.endKnown, mode: plan.mode });
    if ("kind" in made) return made;
    flow.run(made.stages);
    this.#flows[direction] = flow;
    this.#looked[direction] = true;
    if (headers === undefined) return undefined;
    if (plan.override) headers.modeOverride = plan.override;
    const leavesFirst = plan.mode === "STREAMED" || (plan.mode === "FULL_DUPLEX_STREAMED" && !plan.holdsHeaders);
    if (plan.changes && leavesFirst && !this.#watched) dropHeaders(headers, [...BODY_VALIDATORS, "content-length"]);
    return made.losesCodings && !this.#watched ? dropHeaders(headers, ["content-encoding"]) : undefined;
  }

  #newFlow({ active, ...how }: NewFlow): BodyFlow {
    const { exchange, owner, sendEarly } = this.#options;
    return new BodyFlow({
      ...how,
      exchange,
      watched: this.#watched,
      budget: this.#budget,
      pending: (index) => owner.handlerPending(directionOf(how.phase), index),
      sendEarly,
      restUnseen: () => this.#restUnseen(how.phase, active),
    });
  }

  #replace(message: HeaderMessage, work: PhaseWork, bytes: Uint8Array): Soon<RunResult> {
    const phase = bodyPhaseOf(message.case);
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const scene = new LateScene();
    const active = this.#activeClaims(phase, scene);
    if (!Array.isArray(active)) return active as StageEnd;
    if (active.length === 0) return work;
    const flow = this.#newFlow({ phase, plan: REPLACED, active, bodyBytes: undefined, heldHeaders: undefined });
    scene.scene = flow;
    const made = bodyStages(active, { phase, fields: [], endKnown: true, mode: "BUFFERED" });
    if ("kind" in made) return made;
    flow.run(made.stages);
    this.#flows[direction] = flow;
    const nothing = { case: phase, value: flow.work.message.value } as PhaseMessage;
    return after(flow.replace(nothing, plainBytes(bytes)), (body) => {
      flow.close();
      this.#flows[direction] = undefined;
      if (!(body instanceof Uint8Array)) return body;
      for (const change of flow.work.headerChanges) work.change(change);
      Object.assign(work, mergeMetadata(work, flow.work));
      work.wholeBody = body;
      return work;
    });
  }

  /** A handler of a whole body is told; the others would take the beginning for all of it. */
  #restUnseen(phase: BodyPhase, active: readonly ActiveClaim[]): StageEnd | undefined {
    const deceived = active.filter(({ claim }) => claim.handler.read !== "whole");
    const required = deceived.find(({ claim }) => claim.handler.required === true);
    if (required)
      return required.host.fault(
        "body_required_unseen",
        "Envoy sends the beginning of the body only (BUFFERED_PARTIAL)",
      );
    this.#tellUnseen(
      phase,
      deceived.map(({ claim }) => claim),
    );
    return undefined;
  }

  #tellUnseen(phase: BodyPhase, claims: readonly BodyClaim[]): void {
    const { chain, owner } = this.#options;
    owner.bodyUnseen(
      phase,
      claims.map(({ index }) => chain.nameOf(index)),
    );
  }

  #activeClaims(phase: BodyPhase, scene: LateScene): readonly ActiveClaim[] | StageEnd {
    const { chain, claims } = this.#options;
    const active: ActiveClaim[] = [];
    for (const claim of claims[directionOf(phase)]) {
      const { index, handler } = claim;
      let tx: ReturnType<HandlerChain["transaction"]>;
      try {
        tx = chain.transaction(index);
        if (!(tx instanceof ScopedTransaction)) return tx;
        if (handler.read !== "grpc" && handler.when !== undefined && handler.when(tx) !== true) continue;
      } catch (cause) {
        return chain.threw(index, phase, cause);
      }
      const call = handler.read === "grpc" ? grpcCall(handler, this.#options.exchange, phase) : undefined;
      if (handler.read === "grpc" && call === undefined) continue;
      active.push({ claim, call, host: new StageHost(scene, { index, chain, phase, tx }) });
    }
    return active;
  }

  #plan(phase: BodyPhase, claims: readonly BodyClaim[], headers: PhaseWork | undefined): BodyPlan {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    return planBody({
      phase,
      needs: needsOf(claims),
      mode: exchange.bodyMode(direction),
      bodyBytes: exchange.bodyBytes(direction),
      answersHeaders: headers !== undefined,
      watched: this.#watched,
      bufferLimitBytes: exchange.declaration.bufferLimitBytes,
      override: (mode) => this.#lengthBars(phase, mode, claims) ?? this.#override(phase, mode, headers),
    });
  }

  /** Envoy keeps the length of a body that it was configured to hold, or not to send, and is then told to stream. */
  #lengthBars(phase: BodyPhase, mode: OverrideBodyMode, claims: readonly BodyClaim[]): string | undefined {
    const { exchange } = this.#options;
    if (!needsOf(claims).changes || !streamsBody(mode)) return undefined;
    return refuseLengthRemoval(exchange.bodyState(directionOf(phase)), exchange.declaration.mutationRules);
  }

  #override(phase: BodyPhase, mode: OverrideBodyMode, headers: PhaseWork | undefined): ModeOverride | string {
    if (headers === undefined || !isHeaderPhase(headers.message.case)) return "there are no headers to answer";
    const { exchange } = this.#options;
    const { case: answered } = headers.message;
    const wanted = { ...headers.modeOverride, [phase]: mode };
    const resolve = (more: ModeOverride) => exchange.resolveModeOverride({ ...wanted, ...more }, answered);
    const hidesEnd = mode === "STREAMED" && exchange.bodyBytes(directionOf(phase)) === undefined;
    const told = hidesEnd ? resolve({ [trailersOf(phase)]: "SEND" }) : undefined;
    return (typeof told === "object" ? told : resolve({})) ?? "it changes nothing";
  }

  /** The body of nobody need not come at all. */
  #askForNone(phase: BodyPhase, headers: PhaseWork): void {
    const { exchange } = this.#options;
    const mode = exchange.bodyMode(directionOf(phase));
    if (this.#watched || mode === undefined || mode === "NONE" || mode === "GRPC") return;
    const override = this.#override(phase, "NONE", headers);
    if (typeof override !== "string") headers.modeOverride = override;
  }

  get #watched(): boolean {
    return this.#options.rules.shadow || this.#options.exchange.observabilityMode;
  }

  #partialContent(phase: BodyPhase, plan: RunningBody, active: readonly ActiveClaim[]): StageEnd | undefined {
    const part = plan.changes ? isPartOfMore(directionOf(phase), this.#options.exchange) : undefined;
    if (part === undefined) return undefined;
    const blamed = active.find(({ claim }) => claim.handler.read !== "inspect");
    return blamed?.host.fault("body_partial_content", part);
  }
}

type HeaderMessage = Extract<PhaseMessage, { case: HeaderPhase }>;

interface FlowStart {
  readonly phase: BodyPhase;
  readonly plan: RunningBody;
  readonly active: readonly ActiveClaim[];
  readonly scene: LateScene;
  readonly headers: PhaseWork | undefined;
}

/** What differs from one body of a transaction to the next. */
interface NewFlow extends Pick<BodyFlowOptions, "phase" | "plan" | "bodyBytes" | "heldHeaders"> {
  readonly active: readonly ActiveClaim[];
}

/** A body that replaces another is all there, and its headers still wait. */
const REPLACED: RunningBody = {
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

const CONTINUE_UNSEEN: ContinueAnswer = { kind: "continue", headerChanges: [] };

/** Where trailers may hide the end of a streamed body, they have to be seen. */
function trailersOf(phase: BodyPhase): "requestTrailers" | "responseTrailers" {
  return phase === "requestBody" ? "requestTrailers" : "responseTrailers";
}

function bodyPhaseOf(phase: HeaderPhase): BodyPhase {
  return phase === "requestHeaders" ? "requestBody" : "responseBody";
}

function isHeaderMessage(message: PhaseMessage): message is HeaderMessage {
  return isHeaderPhase(message.case);
}

function isBodyMessage(message: PhaseMessage): message is BodyMessage {
  return isBodyPhase(message.case);
}

function isBodiless(message: HeaderMessage, exchange: Exchange): boolean {
  return message.case === "responseHeaders" && hasNoBody(exchange);
}
