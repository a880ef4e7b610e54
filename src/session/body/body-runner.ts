import { plainBytes } from "../../bodies/owned-bytes.ts";
import { type BodyBudget, DEFAULT_BODY_BUDGET, StreamBudget } from "../../memory/body-budget.ts";
import type { BodyClaim, BodyClaims } from "../../processor/body-claims.ts";
import type { RunRules } from "../../processor/run-rules.ts";
import type { Answer, ContinueAnswer } from "../../protocol/answers/answer.ts";
import type { BodyMode } from "../../protocol/body-mode.ts";
import { BODY_HEADERS, type RunningBody } from "../../protocol/exchange/body-plan.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { contentOf, tellsOfBody } from "../../protocol/headers/framing-rules.ts";
import { type HeaderFields, headerFields } from "../../protocol/headers/headers.ts";
import type { ModeOverride } from "../../protocol/mode-override.ts";
import {
  type BodyPhase,
  bodyPhaseOf,
  type Direction,
  directionOf,
  type HeaderMessage,
  isBodyPhase,
  isHeaderMessage,
  type PhaseMessage,
} from "../../protocol/phase.ts";
import { unreadFault } from "../../protocol/unread-body.ts";
import { dropHeaders, mergeMetadata, PhaseWork } from "../fold/phase-work.ts";
import type { ChainOwner, HandlerChain } from "../fold/run-handlers.ts";
import {
  type ActiveClaim,
  activeClaims,
  hasBodyBeforeTunnel,
  refuseBeginning,
  refuseBodyBeforeTunnel,
  refusePart,
  tunnelClaims,
} from "./active-claims.ts";
import { BodyFlow, type BodyFlowOptions, type BodyMessage } from "./body-flow.ts";
import { BodyModes, blamePlan, type Planned } from "./body-modes.ts";
import { after, type Soon, type StageEnd } from "./body-stage.ts";
import { bodyStages, losesCodings, REPLACED, RefusingStage, refusingPlan } from "./body-stages.ts";
import { LateScene } from "./stage-host.ts";

/** An answer that waits for the body: nothing is said yet. */
export type HeldAnswer = { readonly kind: "held" };

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
  readonly sendEarly: BodyFlowOptions["sendEarly"];
}

const NO_BODIES: readonly BodyPhase[] = [];
const BODY_PHASES: readonly BodyPhase[] = ["requestBody", "responseBody"];
const HELD: HeldAnswer = { kind: "held" };

/** Runs the handlers of a transaction in which bodies have handlers too. */
export class BodyRunner {
  readonly #options: BodyRunnerOptions;
  readonly #budget: StreamBudget;
  readonly #flows: Record<Direction, BodyFlow | undefined> = { request: undefined, response: undefined };
  readonly #opened: Record<Direction, boolean> = { request: false, response: false };
  readonly #closed: Record<Direction, boolean> = { request: false, response: false };
  readonly #modes: BodyModes;
  readonly #looked: Record<Direction, boolean> = { request: false, response: false };

  constructor(options: BodyRunnerOptions) {
    this.#options = options;
    this.#modes = new BodyModes(options.exchange, options.rules.shadow);
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
    return BODY_PHASES.filter((phase) => this.#flows[directionOf(phase)]?.isUnseen);
  }

  /** A handler waits for the whole body of a direction. */
  needsWhole(direction: Direction): boolean {
    return this.#flows[direction]?.needsWhole === true;
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
    const unread = unreadFault(message.value);
    if (unread !== undefined) return this.#runUnread(message, unread);
    // Envoy sends the body without its headers where their mode is SKIP.
    const ended = this.#opened[direction] ? undefined : this.#openFlow(message.case, undefined);
    if (ended !== undefined) return ended;
    return this.#flows[direction]?.take(message) ?? CONTINUE_UNSEEN;
  }

  /** A piece of a body whose bytes were too many to be read: it passes only if no handler has to see it. */
  #runUnread({ case: phase }: BodyMessage, unread: Fault): Soon<RunResult> {
    const direction = directionOf(phase);
    const { claims, exchange } = this.#options;
    const opened = this.#opened[direction] ? undefined : this.#openFlow(phase, undefined);
    if (opened !== undefined) return opened;
    const flow = this.#flows[direction];
    if (flow === undefined || flow.ended) return CONTINUE_UNSEEN;
    const mayPass = claims[direction].every(
      ({ handler }) => "overLimit" in handler && handler.overLimit === "pass" && handler.required !== true,
    );
    // Where the body comes in one message, nothing of it was held before.
    const mode = exchange.bodyMode(direction);
    if (!mayPass || (mode !== "BUFFERED" && mode !== "BUFFERED_PARTIAL")) return unread;
    this.close(direction);
    this.#tellUnseen(phase, claims[direction]);
    return CONTINUE_UNSEEN;
  }

  #open(message: HeaderMessage, answer: ContinueAnswer): Soon<RunResult> {
    const phase = bodyPhaseOf(message.case);
    const { exchange, claims } = this.#options;
    const direction = directionOf(phase);
    if (answer instanceof PhaseWork && answer.chosenModes !== undefined) this.#modes.choose(answer.chosenModes);
    // A handler that nobody waits for any more has come to its end after all.
    if (claims[direction].length === 0 || this.#closed[direction]) return answer;
    const work = answer instanceof PhaseWork ? answer : new PhaseWork(message, exchange);
    if (work.wholeBody !== undefined) return this.#replace(message, work, work.wholeBody);
    const content = contentOf(direction, exchange);
    if (message.value.endOfStream || content === "none") {
      this.#opened[direction] = true;
      return phase === "responseBody" && tellsOfBody(exchange) ? this.#correctUnsent(phase, work) : answer;
    }
    const ended = content === "tunnel" ? this.#openTunnel(phase, work) : this.#openFlow(phase, work);
    if (ended !== undefined) return ended;
    return this.heldHeaders(direction) === undefined ? work : HELD;
  }

  /** Makes the flow of a body, where there is one to be; a value where there cannot be. */
  #openFlow(phase: BodyPhase, headers: PhaseWork | undefined): StageEnd | undefined {
    const { exchange, chain } = this.#options;
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const bodyBytes = exchange.bodyBytes(direction);
    const scene = new LateScene();
    const active = activeClaims(phase, scene, this.#options);
    if (!Array.isArray(active)) return active as StageEnd;
    if (active.length === 0) {
      if (headers) this.#modes.askForNone(phase, headers);
      return undefined;
    }
    if (bodyBytes === 0) {
      const problem = fault("body_end_unknowable", `${phase}: the body has bytes, and its content-length is 0`);
      return this.#refuse(problem, { phase, headers, mode: exchange.bodyMode(direction) });
    }
    const claims = active.map(({ claim }) => claim);
    const plan = this.#modes.plan(phase, claims, { headers, bodyBytes });
    if (plan.kind === "fault") {
      const problem = blamePlan(plan, claims, (index) => chain.nameOf(index));
      // A body that Envoy does not send, or whose pieces are messages, does not show that it is empty.
      if (plan.code !== "body_end_unknowable") return problem;
      return this.#refuse(problem, { phase, headers, mode: exchange.bodyMode(direction) });
    }
    if (plan.kind === "unseen") {
      this.#tellUnseen(phase, claims);
      return undefined;
    }
    const start = { phase, plan, active, scene, headers, bodyBytes, fields: this.#fieldsOf(direction) };
    const part = plan.changes ? refusePart(active, direction, exchange) : undefined;
    const problem = part ?? this.#startFlow(start);
    return problem && this.#refuse(problem, { phase, headers, ...plan });
  }

  /**
   * Only handlers that ask for upgrades see a tunnel, and Envoy need not send it for the others. A tunnel that is asked for
   * has no body before it, unless its request has a `content-length`: an upstream that ignores the upgrade would take that for
   * the body.
   */
  #openTunnel(phase: BodyPhase, headers: PhaseWork): StageEnd | undefined {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const scene = new LateScene();
    const active = activeClaims(phase, scene, this.#options);
    if (!Array.isArray(active)) return active as StageEnd;
    const { watching, blind } = tunnelClaims(active);
    if (phase === "requestBody" && blind.length > 0 && hasBodyBeforeTunnel(exchange)) {
      const refusal = refuseBodyBeforeTunnel(blind, exchange.bodyMode(direction) !== "NONE");
      if (refusal !== undefined) return refusal;
      this.#tellUnseen(
        phase,
        blind.map(({ claim }) => claim),
      );
    }
    if (watching.length === 0) {
      this.#modes.askForNone(phase, headers);
      return undefined;
    }
    const claims = watching.map(({ claim }) => claim);
    // Envoy would wait for the end of a tunnel that it buffers.
    const isBuffered = exchange.bodyMode(direction)?.startsWith("BUFFERED");
    const plan = this.#modes.plan(phase, claims, {
      headers,
      bodyBytes: undefined,
      ...(isBuffered && { mode: "NONE" }),
    });
    if (plan.kind === "fault") return blamePlan(plan, claims, (index) => this.#options.chain.nameOf(index));
    if (plan.kind === "run")
      return this.#startFlow({ phase, plan, active: watching, scene, headers, bodyBytes: undefined, fields: [] });
    this.#tellUnseen(phase, claims);
    return undefined;
  }

  /** A body that handlers cannot have: the problem is there with its first byte, unless it is known that one comes. */
  #refuse(problem: StageEnd, { phase, headers, mode, override }: Refusal): StageEnd | undefined {
    const direction = directionOf(phase);
    const isFull = (this.#options.exchange.bodyBytes(direction) ?? 0) > 0;
    if (isFull || problem.kind !== "fault") return problem;
    const holds = mode === "FULL_DUPLEX_STREAMED" && override === undefined && !this.#modes.watched;
    const heldHeaders = holds ? headers : undefined;
    const plan = refusingPlan(mode, { holdsHeaders: heldHeaders !== undefined, override });
    const flow = this.#newFlow({ phase, plan, active: [], bodyBytes: undefined, heldHeaders });
    flow.run([new RefusingStage(problem)]);
    this.#flows[direction] = flow;
    if (headers && override) headers.modeOverride = override;
    return undefined;
  }

  /** Headers that tell of the body that a GET would have brought do not tell of what handlers would have made of it. */
  #correctUnsent(phase: BodyPhase, headers: PhaseWork): RunResult {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    const active = activeClaims(phase, new LateScene(), this.#options);
    if (!Array.isArray(active)) return active as StageEnd;
    if (active.length === 0 || this.#modes.watched) return headers;
    const claims = active.map(({ claim }) => claim);
    const plan = this.#modes.plan(phase, claims, { headers, bodyBytes: exchange.declaredBytes(direction) });
    if (plan.kind !== "run" || !plan.changes) return headers;
    const loses = losesCodings(active, { fields: this.#fieldsOf(direction), endKnown: plan.endKnown });
    dropHeaders(headers, loses ? [...BODY_HEADERS, "content-encoding"] : BODY_HEADERS);
    return headers;
  }

  #fieldsOf(direction: Direction): HeaderFields {
    const message = this.#options.exchange.headers(direction);
    return message ? headerFields(message) : [];
  }

  #startFlow({ phase, plan, active, scene, headers, bodyBytes, fields }: FlowStart): StageEnd | undefined {
    const direction = directionOf(phase);
    const heldHeaders = plan.holdsHeaders ? headers : undefined;
    const flow = this.#newFlow({ phase, plan, active, bodyBytes, heldHeaders });
    scene.scene = flow;
    const made = bodyStages(active, { phase, fields, endKnown: plan.endKnown, mode: plan.mode });
    if ("kind" in made) return made;
    flow.run(made.stages);
    this.#flows[direction] = flow;
    this.#looked[direction] = true;
    if (headers === undefined) return undefined;
    if (plan.override) headers.modeOverride = plan.override;
    const kept = this.#modes.keptLength(phase, plan);
    if (kept !== undefined) return kept;
    const leavesFirst = plan.mode === "STREAMED" || (plan.mode === "FULL_DUPLEX_STREAMED" && !plan.holdsHeaders);
    if (plan.changes && leavesFirst && !this.#modes.watched) dropHeaders(headers, BODY_HEADERS);
    return made.losesCodings && !this.#modes.watched ? dropHeaders(headers, ["content-encoding"]) : undefined;
  }

  #newFlow({ active, ...how }: NewFlow): BodyFlow {
    const { exchange, owner, sendEarly } = this.#options;
    return new BodyFlow({
      ...how,
      exchange,
      watched: this.#modes.watched,
      budget: this.#budget,
      pending: (index) => owner.handlerPending(directionOf(how.phase), index),
      sendEarly,
      restUnseen: () => refuseBeginning(active, (unseen) => this.#tellUnseen(how.phase, unseen)),
    });
  }

  #replace(message: HeaderMessage, work: PhaseWork, bytes: Uint8Array): Soon<RunResult> {
    const phase = bodyPhaseOf(message.case);
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const scene = new LateScene();
    const active = activeClaims(phase, scene, this.#options);
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

  #tellUnseen(phase: BodyPhase, claims: readonly BodyClaim[]): void {
    const { chain, owner } = this.#options;
    const names = claims.map(({ index }) => chain.nameOf(index));
    owner.bodyUnseen(phase, names);
  }
}

interface FlowStart extends Planned {
  readonly phase: BodyPhase;
  readonly plan: RunningBody;
  readonly active: readonly ActiveClaim[];
  readonly scene: LateScene;
  /** Headers that say which codings the body has. */
  readonly fields: HeaderFields;
}

/** Where a body that handlers cannot have would come. */
interface Refusal {
  readonly phase: BodyPhase;
  readonly headers: PhaseWork | undefined;
  readonly mode: BodyMode | undefined;
  readonly override?: ModeOverride | undefined;
}

/** What differs from one body of a transaction to the next. */
interface NewFlow extends Pick<BodyFlowOptions, "phase" | "plan" | "bodyBytes" | "heldHeaders"> {
  readonly active: readonly ActiveClaim[];
}

const CONTINUE_UNSEEN: ContinueAnswer = { kind: "continue", headerChanges: [] };

function isBodyMessage(message: PhaseMessage): message is BodyMessage {
  return isBodyPhase(message.case);
}
