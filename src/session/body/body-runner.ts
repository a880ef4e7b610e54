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
import { DeferredBody } from "./stage-context.ts";

/** An answer to headers that waits for the body. */
export type HeldAnswer = { readonly kind: "held" };

/** The result of a message. */
export type RunResult = Answer | HeldAnswer | Fault;

/** Receives the events of a {@link BodyRunner}. */
export interface BodyOwner extends ChainOwner {
  /** Envoy does not send a body that handlers of these processors want, or sends only its beginning. */
  bodyUnseen(phase: BodyPhase, processors: readonly string[]): void;
}

/** The options of a {@link BodyRunner}. */
export interface BodyRunnerOptions {
  readonly rules: RunRules;
  readonly claims: BodyClaims;
  readonly chain: HandlerChain;
  readonly exchange: Exchange;
  readonly owner: BodyOwner;
  readonly budget?: BodyBudget | undefined;
  /** If undefined, the output of a piece is held until the piece is answered. */
  readonly sendEarly: BodyFlowOptions["sendEarly"];
}

const NO_BODIES: readonly BodyPhase[] = [];
const BODY_PHASES: readonly BodyPhase[] = ["requestBody", "responseBody"];
const HELD: HeldAnswer = { kind: "held" };

/** Runs the handlers of a transaction that has body handlers. */
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

  /** True after handlers got the body of a direction. They may still hold bytes of it, even if no handler runs. */
  looksAt(direction: Direction): boolean {
    return this.#looked[direction];
  }

  /**
   * Returns the fault of handlers that did not see the end of a body, if the stream is over. In STREAMED trailers hide
   * the end, and that looks as if the client had left. If the transaction did not complete, only a request that has a
   * response counts.
   */
  lostTail(completed: boolean): Soon<Fault | undefined> {
    const { request, response } = this.#flows;
    const isAnswered = completed || this.#options.exchange.headers("response") !== undefined;
    const ofRequest = isAnswered ? request?.lostTail : undefined;
    const ofResponse = completed ? response?.lostTail : undefined;
    return after(ofRequest, (lost) => lost ?? ofResponse);
  }

  /** Bodies in GRPC mode of which Envoy sent nothing although it announced the mode. */
  get neverSent(): readonly BodyPhase[] {
    const { request, response } = this.#flows;
    if (!request?.isUnseen && !response?.isUnseen) return NO_BODIES;
    return BODY_PHASES.filter((phase) => this.#flows[directionOf(phase)]?.isUnseen);
  }

  /** True if a handler waits for the whole body of a direction. */
  needsWhole(direction: Direction): boolean {
    return this.#flows[direction]?.needsWhole === true;
  }

  /** The headers of a direction whose answer is held back. */
  heldHeaders(direction: Direction): PhaseMessage | undefined {
    return this.#flows[direction]?.heldHeaders;
  }

  /** The handlers of a direction are no longer needed. */
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
    // Envoy sends a body without its headers if the mode of the headers is SKIP.
    const ended = this.#opened[direction] ? undefined : this.#openFlow(message.case, undefined);
    if (ended !== undefined) return ended;
    return this.#flows[direction]?.take(message) ?? CONTINUE_UNSEEN;
  }

  /** Handles a piece of a body that has too many bytes to be read. It passes only if no handler has to see it. */
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
    // If the body comes in one message, nothing of it was held before.
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
    // This handler may have been abandoned, and settled later.
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

  /** Creates the flow of a body, if it needs one. Returns a fault or an answer if the handlers cannot get the body. */
  #openFlow(phase: BodyPhase, headers: PhaseWork | undefined): StageEnd | undefined {
    const { exchange, chain } = this.#options;
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const bodyBytes = exchange.bodyBytes(direction);
    const deferred = new DeferredBody();
    const active = activeClaims(phase, deferred, this.#options);
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
      // A body that Envoy does not send, or whose pieces are messages, does not show whether it is empty.
      if (plan.code !== "body_end_unknowable") return problem;
      return this.#refuse(problem, { phase, headers, mode: exchange.bodyMode(direction) });
    }
    if (plan.kind === "unseen") {
      this.#tellUnseen(phase, claims);
      return undefined;
    }
    const start = { phase, plan, active, deferred, headers, bodyBytes, fields: this.#fieldsOf(direction) };
    const part = plan.changes ? refusePart(active, direction, exchange) : undefined;
    const problem = part ?? this.#startFlow(start);
    return problem && this.#refuse(problem, { phase, headers, ...plan });
  }

  /**
   * Opens a tunnel. Only handlers that ask for upgrades see it, and Envoy need not send it for the others. A request
   * for a tunnel has no body before it, unless it has a `content-length`: an upstream that ignores the upgrade would
   * read that body.
   */
  #openTunnel(phase: BodyPhase, headers: PhaseWork): StageEnd | undefined {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    this.#opened[direction] = true;
    const deferred = new DeferredBody();
    const active = activeClaims(phase, deferred, this.#options);
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
      return this.#startFlow({ phase, plan, active: watching, deferred, headers, bodyBytes: undefined, fields: [] });
    this.#tellUnseen(phase, claims);
    return undefined;
  }

  /** Fails a body that its handlers cannot get: at its first byte, or at once if it is known to have bytes. */
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

  /** Corrects headers that describe the body of a GET: handlers would have changed that body. */
  #correctUnsent(phase: BodyPhase, headers: PhaseWork): RunResult {
    const { exchange } = this.#options;
    const direction = directionOf(phase);
    const active = activeClaims(phase, new DeferredBody(), this.#options);
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

  #startFlow({ phase, plan, active, deferred, headers, bodyBytes, fields }: FlowStart): StageEnd | undefined {
    const direction = directionOf(phase);
    const heldHeaders = plan.holdsHeaders ? headers : undefined;
    const flow = this.#newFlow({ phase, plan, active, bodyBytes, heldHeaders });
    deferred.flow = flow;
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
    const deferred = new DeferredBody();
    const active = activeClaims(phase, deferred, this.#options);
    if (!Array.isArray(active)) return active as StageEnd;
    if (active.length === 0) return work;
    const flow = this.#newFlow({ phase, plan: REPLACED, active, bodyBytes: undefined, heldHeaders: undefined });
    deferred.flow = flow;
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
  readonly deferred: DeferredBody;
  /** Headers that say which codings the body has. */
  readonly fields: HeaderFields;
}

/** The place of a body that its handlers cannot get. */
interface Refusal {
  readonly phase: BodyPhase;
  readonly headers: PhaseWork | undefined;
  readonly mode: BodyMode | undefined;
  readonly override?: ModeOverride | undefined;
}

/** What differs between the bodies of a transaction. */
interface NewFlow extends Pick<BodyFlowOptions, "phase" | "plan" | "bodyBytes" | "heldHeaders"> {
  readonly active: readonly ActiveClaim[];
}

const CONTINUE_UNSEEN: ContinueAnswer = { kind: "continue", headerChanges: [] };

function isBodyMessage(message: PhaseMessage): message is BodyMessage {
  return isBodyPhase(message.case);
}
