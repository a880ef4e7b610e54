import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Answer, CONTINUE } from "../protocol/answer.ts";
import { returnsBody } from "../protocol/body-mode.ts";
import { Exchange } from "../protocol/exchange.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import { faultResponse } from "../protocol/fault-response.ts";
import {
  type BodyPhase,
  DIRECTIONS,
  type Direction,
  directionOf,
  isBodyPhase,
  type PhaseMessage,
  phaseOf,
} from "../protocol/phase.ts";
import { describeSummary } from "./answer-summary.ts";
import { type AnswerOwner, AwaitedAnswer, runningFailed } from "./awaited-answer.ts";
import { type BodyOwner, BodyRunner, type RunResult } from "./body/body-runner.ts";
import { decideFault } from "./decide-fault.ts";
import type { Processor } from "./definition.ts";
import { type DirectionQueue, DirectionQueues } from "./direction-queue.ts";
import { earlyAnswers } from "./early-answers.ts";
import type { FaultOutcome } from "./fault-policy.ts";
import { ImaginedExchange } from "./imagined-exchange.ts";
import { LateHandlers } from "./late-handlers.ts";
import { HandlerChain } from "./run-handlers.ts";
import { defaultRunRules, type RunRules, runRules } from "./run-rules.ts";
import type { SessionEnd, SessionResult, UnenforcedReason } from "./session-observer.ts";
import type { SessionOptions } from "./session-options.ts";
import { SessionRecord } from "./session-record.ts";
import type { SessionLinks } from "./session-set.ts";
import { MARGIN_MS } from "./time-limit.ts";
import { REAL_TIMERS, type Timers } from "./timers.ts";
import { TransactionScope } from "./transaction.ts";

/**
 * One transaction on its way through a processor: messages in, answers out. Synchronous as long as the handlers
 * are. Each direction keeps its order, and neither waits for the other, as Envoy's own state machines do.
 */
export class Session implements AnswerOwner, BodyOwner {
  /** For the {@link SessionSet} that the session is in. */
  readonly links: SessionLinks = { previous: undefined, next: undefined };
  readonly #rules: RunRules;
  readonly #timers: Timers;
  readonly #exchange: Exchange;
  readonly #scope: TransactionScope;
  readonly #chain: HandlerChain;
  /** There where bodies have handlers. */
  readonly #bodies: BodyRunner | undefined;
  readonly #options: SessionOptions;
  readonly #queues = new DirectionQueues();
  /** Where answers go that Envoy does not get, in shadow and observability mode. */
  #imagined: ImaginedExchange | undefined;
  #record: SessionRecord | undefined;
  #late: LateHandlers | undefined;
  #fault: Fault | undefined;
  #begun = false;
  /** No handler runs any more: everything passes. */
  #passes = false;
  #halfClosed = false;
  #over = false;
  #isEnding = false; // A loop over chunks comes to its end a little later than the stream.

  constructor(processor: Processor, options: SessionOptions) {
    const { rules, declaration, timers = REAL_TIMERS } = options;
    this.#options = options;
    this.#rules = rules ?? (declaration ? runRules(processor, { declaration }) : defaultRunRules(processor));
    this.#timers = timers;
    this.#exchange = new Exchange(this.#rules);
    this.#scope = new TransactionScope(this.#exchange, options, options.observer);
    this.#chain = new HandlerChain(this.#rules.definitions, this.#scope, this);
    if (this.#rules.bodies) {
      const parts = { rules: this.#rules, claims: this.#rules.bodies, chain: this.#chain, exchange: this.#exchange };
      const sendEarly = earlyAnswers({ exchange: this.#exchange, outlet: options.outlet, queues: this.#queues });
      this.#bodies = new BodyRunner({ ...parts, owner: this, budget: options.bodyBudget, sendEarly });
    }
    options.sessions?.add(this);
  }

  /** Messages that wait for a handler to settle. A transport stops reading while there are too many. */
  get backlog(): number {
    return this.#queues.request.waiting.length + this.#queues.response.waiting.length;
  }

  /** True while an answer, or the end, waits for a handler. */
  get running(): boolean {
    return this.#isEnding || this.#queues.request.awaited !== undefined || this.#queues.response.awaited !== undefined;
  }

  /** Handlers that are at work for nobody: their time, or the transaction, is over. Undefined where there is none. */
  get late(): LateHandlers | undefined {
    return this.#late !== undefined && this.#late.count > 0 ? this.#late : undefined;
  }

  /**
   * Takes the peer's next message. True where nothing refers to its bytes any more: a piece of a body that has been
   * answered without them, and that no handler has seen.
   */
  receive(message: ProcessingRequest): boolean {
    if (this.#over) return false;
    const phase = phaseOf(message);
    const direction = phase === undefined ? "request" : directionOf(phase);
    const queue = this.#queues.of(direction);
    if (queue.awaited !== undefined && phase !== undefined) {
      queue.waiting.push(message);
      return false;
    }
    this.#take(message, queue);
    if (!isBodyPhase(phase) || queue.awaited !== undefined || this.#bodies?.looksAt(direction)) return false;
    return !returnsBody(this.#exchange.bodyMode(direction));
  }

  /** The peer sends nothing more: the session ends as soon as it has answered what it has. */
  finish(): void {
    this.#halfClosed = true;
    this.#endIfDone();
  }

  /** The peer is gone: nothing can be answered any more. */
  cancel(): void {
    this.#end(this.#owes ? "canceled" : "completed");
  }

  /** The transport could not read on. Without a fault the peer is gone. */
  fail(failure: Fault | undefined): void {
    if (failure === undefined) this.cancel();
    else this.#failed(failure, undefined);
  }

  /** The server has to go. An answer that is still owed becomes a fault: Envoy takes a plain end for "let it pass". */
  shutDown(): void {
    if (this.#over) return;
    if (!this.#owes && !this.#exchange.holdsBody) {
      this.#end("completed");
      return;
    }
    this.#failed(fault("server_draining", "the server shut down before the answer was ready"), undefined);
    // Where everything passed, there is nothing more to be said.
    this.#end("completed");
  }

  handlerPending(direction: Direction, index: number): void {
    const queue = this.#queues.of(direction);
    queue.at = index;
    const rule = this.#rules.rules[index];
    if (rule) queue.awaited?.continueWith(rule.limit);
  }

  bodyUnseen(phase: BodyPhase): void {
    this.#unenforced("body_not_sent", phase);
  }

  answered(message: PhaseMessage, answer: RunResult): void {
    const queue = this.#queues.of(directionOf(message.case));
    queue.awaited = undefined;
    this.#settle(message, answer);
    this.#takeWaiting(queue);
    this.#endIfDone();
    this.#options.outlet.settled?.();
  }

  needsTime(message: PhaseMessage, grantMs: number): void {
    const { longestTimeoutMs, declaration } = this.#rules;
    // Envoy extends both directions by it, and each of them once: so for all that is waited for, and may be yet.
    const wanted = DIRECTIONS.map((direction) => {
      const { awaited } = this.#queues.of(direction);
      return awaited === undefined ? grantMs : longestTimeoutMs - awaited.passedMs + MARGIN_MS;
    });
    const most = Math.min(Math.max(...wanted), declaration.maxMessageTimeoutMs);
    const extension = this.#exchange.extendTimeout(directionOf(message.case), most);
    if (extension) this.#options.outlet.send(extension);
  }

  timedOut(message: PhaseMessage): void {
    const direction = directionOf(message.case);
    const queue = this.#queues.of(direction);
    const rule = this.#rules.rules[queue.at];
    this.#abandon(direction);
    const processor = rule?.definition.name ?? "";
    const text = `processor "${processor}", ${message.case}: no answer within ${rule?.limit.timeoutMs} ms`;
    this.#failed(fault("handler_timeout", text, { processor }), message);
    this.#endIfDone();
    this.#options.outlet.settled?.();
  }

  get #owes(): boolean {
    return this.#exchange.owed > 0 || (this.backlog > 0 && !this.#exchange.observabilityMode);
  }

  #take(message: ProcessingRequest, queue: DirectionQueue): void {
    const accepted = this.#exchange.accept(message);
    if (accepted.kind === "ignored") return;
    if (accepted.kind === "fault") {
      this.#failed(accepted, undefined);
      return;
    }
    const { message: opened } = accepted;
    this.#options.observer?.message(opened.case, this.#options.origin);
    if (this.#passes) {
      this.#send(this.#exchange.answer(opened, CONTINUE));
      return;
    }
    if (!this.#begun) this.#begin(message);
    this.#imagined?.accept(message);
    const unready = this.#options.setup?.unready;
    const answer = unready ?? this.#run(opened);
    if (answer instanceof Promise) this.#await(opened, answer, queue);
    else this.#settle(opened, answer);
  }

  /** What is needed by few transactions, and known from the first message on. */
  #begin(message: ProcessingRequest): void {
    this.#begun = true;
    const { decisions } = this.#options;
    const { shadow, hasDone } = this.#rules;
    if (shadow || message.observabilityMode) this.#imagined = new ImaginedExchange(this.#rules);
    const sampled = decisions?.samples(message) === true;
    if (hasDone || sampled) this.#record = new SessionRecord(this.#timers, sampled);
  }

  /** The chain neither throws nor rejects; were it to happen, it must not end the process. */
  #run(message: PhaseMessage): RunResult | Promise<RunResult> {
    try {
      return (this.#bodies ?? this.#chain).run(message);
    } catch (cause) {
      return runningFailed(cause);
    }
  }

  #await(message: PhaseMessage, answer: Promise<RunResult>, queue: DirectionQueue): void {
    const rule = this.#rules.rules[queue.at];
    if (rule === undefined) return;
    queue.awaited = new AwaitedAnswer(this, message, { answer, timers: this.#timers, limit: rule.limit });
  }

  #takeWaiting(queue: DirectionQueue): void {
    while (queue.awaited === undefined && !this.#over) {
      const next = queue.waiting.shift();
      if (next === undefined) return;
      this.#take(next, queue);
    }
  }

  #settle(message: PhaseMessage, answer: RunResult): void {
    if (answer.kind === "held") return;
    if (answer.kind === "fault") {
      this.#failed(answer, message);
      return;
    }
    if (this.#imagined) {
      this.#pretend(this.#imagined, message, answer);
      return;
    }
    if (answer.kind !== "immediate") {
      this.#send(this.#exchange.answer(message, answer), message);
      return;
    }
    if (this.#exchange.immediateObstacle) this.#unenforced("immediate_response_too_late", "immediateResponse");
    this.#send(this.#exchange.answer(message, answer), message);
    this.#end("immediate_response");
  }

  /** Tells what would have happened, and lets the message pass. */
  #pretend(imagined: ImaginedExchange, message: PhaseMessage, answer: Answer): void {
    const summary = imagined.answer(message, answer);
    if (summary !== undefined) {
      this.#record?.pretended(message.case, summary);
      this.#unenforced(this.#rules.shadow ? "shadow" : "observability_mode", describeSummary(summary));
    }
    this.#send(this.#exchange.answer(message, CONTINUE));
    // Nothing more would have come. Whoever only watches goes on watching.
    if (answer.kind === "immediate" && this.#rules.shadow) this.#passes = true;
  }

  #send(responses: readonly ProcessingResponse[], message?: PhaseMessage): void {
    if (message) this.#record?.sent(message.case, responses);
    for (const response of responses) this.#options.outlet.send(response);
  }

  /**
   * Does what the policy wants. `message` is what the fault is about: without one nothing can be said that would let it
   * pass.
   */
  #failed(failure: Fault, message: PhaseMessage | undefined): void {
    if (this.#over) return;
    const exchange = this.#exchange;
    const outcome = decideFault(failure, { rules: this.#rules, exchange, message });
    this.#tellFault(failure, outcome);
    if (exchange.observabilityMode) this.#unenforced("observability_mode", `fault ${failure.code}`);
    else if (this.#rules.shadow) this.#unenforced("shadow", `fault ${failure.code}`);
    else if (failure.code === "immediate_response_disabled") this.#unenforced(failure.code, "immediateResponse");
    switch (outcome) {
      case "passed":
      case "shadow":
        this.#pass(message);
        break;
      case "immediate_response":
        this.#send(exchange.answerImmediately(faultResponse(failure.code, message && directionOf(message.case))));
        this.#end("fault");
        break;
      case "observed":
        this.#end("fault");
        break;
      default:
        this.#end("fault", failure);
    }
  }

  #tellFault(failure: Fault, outcome: FaultOutcome): void {
    this.#fault ??= failure;
    this.#record?.failed(outcome);
    this.#options.observer?.fault?.(failure, outcome, this.#options.origin);
  }

  /** Lets everything pass that is owed an answer, and whatever comes: no handler runs any more. */
  #pass(message: PhaseMessage | undefined): void {
    this.#passes = true;
    this.#scope.end();
    for (const direction of DIRECTIONS) this.#passHeaders(direction);
    if (message) this.#send(this.#exchange.answer(message, CONTINUE));
    for (const direction of DIRECTIONS) {
      const awaited = this.#abandon(direction);
      if (awaited) this.#send(this.#exchange.answer(awaited, CONTINUE));
      this.#takeWaiting(this.#queues.of(direction));
    }
  }

  /** Headers whose answer was held back leave before anything of their body does. */
  #passHeaders(direction: Direction): void {
    const held = this.#bodies?.heldHeaders(direction);
    this.#bodies?.close(direction);
    if (held) this.#send(this.#exchange.answer(held, CONTINUE));
  }

  /** Waits no more for handlers at work; gives what they were to answer. */
  #abandon(direction: Direction): PhaseMessage | undefined {
    const queue = this.#queues.of(direction);
    if (queue.awaited === undefined) return undefined;
    this.#late ??= new LateHandlers();
    this.#chain.abandon(direction);
    return queue.abandon(this.#late);
  }

  #unenforced(reason: UnenforcedReason, wanted: string): void {
    this.#options.observer?.unenforced?.(reason, wanted, this.#options.origin);
  }

  #endIfDone(): void {
    if (!this.#halfClosed || this.running) return;
    // Nothing more comes that it waits for: Envoy does so where its client went away.
    const isCutOff = this.#owes || (this.#exchange.lacksEnd && !this.#rules.shadow);
    this.#end(isCutOff ? "canceled" : "completed");
  }

  /** `error` is what the stream ends with; a fault that was dealt with in another way leaves none. */
  #end(ended: SessionResult, error?: Fault): void {
    if (this.#over) return;
    this.#over = true;
    const lost = this.#bodies?.lostTail(ended === "completed");
    this.#isEnding = lost instanceof Promise;
    if (lost instanceof Promise) lost.then((failure) => this.#ended(ended, error, failure)).catch(() => undefined);
    else this.#ended(ended, error, lost);
  }

  #ended(ended: SessionResult, error: Fault | undefined, lost: Fault | undefined): void {
    this.#isEnding = false;
    if (lost) this.#tellFault(lost, "bytes_lost");
    for (const direction of DIRECTIONS) {
      this.#queues.of(direction).waiting.length = 0;
      this.#abandon(direction);
      this.#bodies?.close(direction);
    }
    this.#scope.end();
    this.#options.sessions?.delete(this);
    const { observer, outlet, origin } = this.#options;
    const result = this.#fault === undefined ? ended : "fault";
    const observed = this.#exchange.observabilityMode || undefined;
    const end: SessionEnd = { result, fault: this.#fault, error, observed };
    observer?.ended(end, origin);
    this.#tellEnd(result);
    outlet.ended(end);
    // A handler that never settles would keep it.
    if (this.late) this.#scope.forget();
  }

  /** To `done` of the processors, and to the decision log. */
  #tellEnd(result: SessionResult): void {
    if (this.#record === undefined) return;
    const { observer, decisions, origin } = this.#options;
    const ending = { result, fault: this.#fault, durationMs: this.#record.durationMs };
    this.#chain.done(ending, (processor, cause) => observer?.doneFailed?.(processor, cause, origin));
    const observed = this.#exchange.observabilityMode ? "observability_mode" : undefined;
    const pretended = this.#rules.shadow ? "shadow" : observed;
    const decision = this.#record.decision({ ...ending, scope: this.#scope, pretended });
    if (decision) decisions?.record(decision);
  }
}
