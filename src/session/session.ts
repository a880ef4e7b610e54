import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type RunRules, runRules } from "../processor/run-rules.ts";
import { TransactionScope } from "../processor/transaction.ts";
import { type Answer, CONTINUE } from "../protocol/answers/answer.ts";
import { faultResponse } from "../protocol/answers/fault-response.ts";
import { returnsBody } from "../protocol/body-mode.ts";
import { MessageExchange } from "../protocol/exchange/exchange.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import {
  DIRECTIONS,
  type Direction,
  directionOf,
  isBodyPhase,
  type Phase,
  type PhaseMessage,
  phaseOf,
} from "../protocol/phase.ts";
import { type AnswerOwner, REAL_TIMERS, type Timers, timedOut, within } from "./answer-timeout.ts";
import { BodyRunner, type RunResult } from "./body/body-runner.ts";
import { BodyWait } from "./body-wait.ts";
import { ImaginedExchange } from "./decision.ts";
import { bodyOutlet, type DirectionQueue, DirectionQueues } from "./direction-queue.ts";
import { decideFault, directionOfFault } from "./fault-outcome.ts";
import { type ChainOwner, HandlerChain } from "./fold/run-handlers.ts";
import { LateHandlers } from "./late-handlers.ts";
import { PassedHandlers, unsentPlace } from "./passed-handlers.ts";
import { SessionReport, type SessionResult } from "./session-observer.ts";
import type { SessionOptions, SharedSessionOptions } from "./session-options.ts";
import type { SessionLinks } from "./session-set.ts";
import { runMessage } from "./thread-watch.ts";

/**
 * Runs one transaction through a processor: it takes messages and sends answers. It is synchronous while the handlers
 * are. Each direction keeps its order, and neither waits for the other, like Envoy's own state machines.
 */
export class Session implements AnswerOwner, ChainOwner {
  /** The session's neighbours in its {@link SessionSet}. */
  readonly links: SessionLinks = { previous: undefined, next: undefined };
  readonly #rules: RunRules;
  readonly #timers: Timers;
  readonly #exchange: MessageExchange;
  readonly #scope: TransactionScope;
  readonly #chain: HandlerChain;
  /** Exists if the processor has body handlers. */
  readonly #bodies: BodyRunner | undefined;
  readonly #options: SessionOptions;
  readonly #shared: SharedSessionOptions;
  readonly #queues = new DirectionQueues();
  /** Created when there is something to report. */
  #reportMade: SessionReport | undefined;
  /** Takes the answers that Envoy does not get, in shadow and observability mode. */
  #imagined: ImaginedExchange | undefined;
  #late: LateHandlers | undefined;
  #bodyWait: BodyWait | undefined;
  #begun = false;
  /** The phase that was answered last. `#answeredIn`: the interval of the thread watch in which the answer was sent. */
  #answeredPhase: Phase | undefined;
  #answeredIn = 0;
  /** No handler runs any more: every message passes unchanged. */
  #passes = false;
  #halfClosed = false;
  #over = false;
  #isEnding = false; // A loop over chunks comes to its end a little later than the stream.

  /** @param shared Options that a server's sessions share, so that they are not copied for each session. */
  constructor(processor: Processor, options: SessionOptions, shared: SharedSessionOptions = options) {
    const { declaration, timers = REAL_TIMERS } = options;
    this.#options = options;
    this.#shared = shared;
    this.#rules = shared.rules ?? runRules(processor, { envoy: declaration });
    this.#timers = timers;
    this.#exchange = new MessageExchange(this.#rules);
    this.#scope = new TransactionScope(this.#exchange, options, shared.observer);
    this.#chain = new HandlerChain(this.#rules, this.#scope, this);
    if (this.#rules.bodies) {
      const outlet = bodyOutlet(this.#exchange, this.#queues, this.#rules, options.outlet);
      const parts = { chain: this.#chain, exchange: this.#exchange, shadow: this.#rules.shadow, outlet };
      this.#bodies = new BodyRunner(this.#rules.bodies, { ...parts, budget: shared.bodyBudget });
    }
    shared.sessions?.add(this);
  }

  /** The number of messages that wait for a handler to settle. A transport stops reading while there are too many. */
  get backlog(): number {
    return this.#queues.backlog;
  }

  /** True while an answer, or the end, waits for a handler. */
  get running(): boolean {
    return this.#isEnding || this.#queues.running;
  }

  /** Handlers that still run after their time or the transaction is over; undefined if there are none. */
  get late(): LateHandlers | undefined {
    return this.#late !== undefined && this.#late.count > 0 ? this.#late : undefined;
  }

  /**
   * Takes Envoy's next message. Returns true if nothing refers to the message's bytes any more: it was a piece of a
   * body that was answered without its bytes and that no handler has seen.
   */
  receive(message: ProcessingRequest): boolean {
    if (this.#over) return false;
    const phase = phaseOf(message);
    const direction = phase === undefined ? "request" : directionOf(phase);
    const queue = this.#queues.of(direction);
    if (queue.awaited !== undefined && phase !== undefined) {
      if (this.#exchange.runsAhead(phase)) this.#ranAhead(queue.awaited.message, direction);
      if (queue.awaited !== undefined) queue.wait(message);
      else if (!this.#over) this.#take(message, queue);
      return false;
    }
    this.#take(message, queue);
    if (!isBodyPhase(phase) || queue.awaited !== undefined || this.#bodies?.of(direction).wasShown) return false;
    return !returnsBody(this.#exchange.bodyMode(direction));
  }

  /** Envoy sends no more messages. The session ends as soon as it has answered those that it has. */
  finish(): void {
    this.#halfClosed = true;
    this.#endIfDone();
  }

  /**
   * The stream is gone: no answer can be sent any more.
   * @param isDone True for a reset before a half-close: Envoy says with it that it needs no more of the stream.
   */
  cancel(isDone = false): void {
    if (this.#over) return;
    if (isDone && !this.#halfClosed && this.#mayLackPhases) this.#report.fault(this.#passed.neverSent(), "too_late");
    const isUnanswered = this.#awaitsAnswer;
    if (!isUnanswered && this.#exchange.unsentBodies.length > 0) this.#passed.overridesUnseen();
    this.#end(isUnanswered ? "unanswered" : "completed");
  }

  /** The transport failed to read. Without a fault the stream is gone. */
  fail(failure: Fault | undefined): void {
    if (failure === undefined) this.cancel();
    else this.#failed(failure, undefined);
  }

  /** The server shuts down. A missing answer becomes a fault, because OK would let the message pass. */
  shutDown(): void {
    if (this.#awaitsAnswer || this.#exchange.holdsBody)
      this.#failed(fault("server_draining", "the server shut down before the answer was ready"), undefined);
    // Still not over if every message passes or no message waited for an answer: nothing more is to be sent.
    this.#end("completed");
  }

  handlerPending(direction: Direction, index: number): void {
    this.#queues.of(direction).work(index, this.#rules.rules[index]);
  }

  answered(message: PhaseMessage, answer: RunResult): void {
    const queue = this.#queues.of(directionOf(message.case));
    queue.awaited = undefined;
    if (this.#bodies?.hasUnseen) this.#reportUnseen(this.#bodies);
    this.#settle(message, answer);
    this.#takeWaiting(queue);
    this.#endIfDone();
    this.#options.outlet.settled?.();
  }

  needsTime(message: PhaseMessage, grantMs: number): void {
    const most = this.#queues.wantedTimeMs(grantMs, this.#rules);
    const extension = this.#exchange.extendTimeout(directionOf(message.case), most);
    if (extension) this.#options.outlet.send(extension);
  }

  timedOut(message: PhaseMessage): void {
    const direction = directionOf(message.case);
    const failure = timedOut(this.#rules.rules[this.#queues.of(direction).at], message.case);
    this.#abandon(direction);
    this.#failed(failure, message);
    this.#endIfDone();
    this.#options.outlet.settled?.();
  }

  get #report(): SessionReport {
    this.#reportMade ??= new SessionReport(this.#rules, this.#shared, this.#options.origin);
    return this.#reportMade;
  }

  /** Every transaction calls this, so it allocates nothing. */
  get #mayLackPhases(): boolean {
    if (this.#awaitsAnswer || this.#passes) return false;
    const lacksResponse = this.#rules.handlesResponse && this.#exchange.headers("response") === undefined;
    return lacksResponse || (this.#bodies?.neverSent.length ?? 0) > 0;
  }

  get #awaitsAnswer(): boolean {
    return this.#exchange.unanswered > 0 || (this.backlog > 0 && !this.#exchange.observabilityMode);
  }

  #take(message: ProcessingRequest, queue: DirectionQueue): void {
    const accepted = this.#exchange.accept(message);
    if (accepted.kind === "ignored") return;
    if (accepted.kind === "fault") {
      this.#failed(accepted, undefined);
      return;
    }
    const { message: opened, passed, unasked } = accepted;
    this.#shared.observer?.message(opened.case, this.#options.origin);
    this.#shared.threadWatch?.enter();
    if (!this.#begun && !this.#passes) this.#begin(message);
    if (unasked !== undefined) this.#report.unenforced("override_ignored", unasked);
    const left = passed === undefined || this.#passes ? undefined : this.#passed.leftBehind(passed);
    if (left !== undefined) this.#failed(left, opened);
    else if (this.#passes) this.#send(this.#exchange.answer(opened, CONTINUE));
    if (left !== undefined || this.#passes) return;
    this.#imagined?.accept(message);
    const unready = this.#shared.setup?.unready;
    const answer = unready ?? runMessage(this.#bodies ?? this.#chain, opened, this.#rules, this.#shared.threadWatch);
    if (this.#bodies?.hasUnseen) this.#reportUnseen(this.#bodies); // The answer may never come.
    // Faster than `instanceof`, and every transaction comes here.
    if ("kind" in answer) this.#settle(opened, answer);
    else queue.await(this, opened, { answer, timers: this.#timers, rules: this.#rules });
  }

  /** Creates what few transactions need, and what the first message decides. */
  #begin(message: ProcessingRequest): void {
    this.#begun = true;
    if (this.#rules.shadow || message.observabilityMode) this.#imagined = new ImaginedExchange(this.#rules);
    if (this.#rules.hasDone || this.#shared.decisions !== undefined) this.#report.begin(message, this.#timers);
  }

  #takeWaiting(queue: DirectionQueue): void {
    while (queue.awaited === undefined && !this.#over) {
      const next = queue.next();
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
      if (answer.modeOverride !== undefined) {
        this.#bodyWait ??= new BodyWait(this, this.#passed, this.#options);
        this.#bodyWait.start(directionOf(message.case));
      }
      return;
    }
    if (this.#exchange.immediateObstacle) this.#report.unenforced("immediate_response_too_late", "immediateResponse");
    // After an immediate response nothing shows whether Envoy accepted it.
    if (this.#shared.threadWatch?.isHeld) this.#report.fault(this.#passed.tooLate(message.case), "too_late");
    this.#send(this.#exchange.answer(message, answer), message);
    this.#end("immediate_response");
  }

  #reportUnseen({ both }: BodyRunner): void {
    for (const { phase, unseen } of both)
      for (const name of unseen.splice(0)) this.#report.unenforced("body_not_sent", phase, unsentPlace(name, phase));
  }

  /** Reports what would have happened, and lets the message pass. */
  #pretend(imagined: ImaginedExchange, message: PhaseMessage, answer: Answer): void {
    const summary = imagined.answer(message, answer);
    if (summary !== undefined) this.#report.pretended(message, summary);
    this.#send(this.#exchange.answer(message, CONTINUE));
    // After an immediate response no message would have come. In observability mode the handlers still go on.
    if (answer.kind === "immediate" && this.#rules.shadow) this.#passes = true;
  }

  #send(responses: readonly ProcessingResponse[], message?: PhaseMessage): void {
    if (message) {
      this.#reportMade?.sent(message, responses);
      this.#answeredPhase = message.case;
      this.#answeredIn = this.#shared.threadWatch?.stretch ?? 0;
    }
    for (const response of responses) this.#options.outlet.send(response);
  }

  /**
   * Applies the policy to a fault.
   * @param message The message of the fault. Without one there is no answer that could let it pass.
   */
  #failed(failure: Fault, message: PhaseMessage | undefined): void {
    if (this.#over) return;
    const exchange = this.#exchange;
    const outcome = decideFault(failure, { rules: this.#rules, exchange, message });
    this.#report.failed(failure, outcome);
    switch (outcome) {
      case "passed":
      case "shadow":
        this.#pass(message);
        break;
      case "immediate_response":
        this.#send(
          exchange.answerImmediately(faultResponse(failure.code, directionOfFault(failure, { exchange, message }))),
        );
        this.#end("fault");
        break;
      default:
        this.#end("fault", outcome === "observed" ? undefined : failure);
    }
  }

  /** Envoy sent another message of a direction without waiting for the answer that it needs. */
  #ranAhead(message: PhaseMessage | undefined, direction: Direction): void {
    if (message === undefined) return;
    const failure = this.#passed.notAwaited(message.case);
    this.#abandon(direction);
    this.#failed(failure, message);
  }

  get #passed(): PassedHandlers {
    const [rules, exchange, queues, bodies] = [this.#rules, this.#exchange, this.#queues, this.#bodies];
    return new PassedHandlers({ rules, exchange, queues, bodies, shared: this.#shared, origin: this.#options.origin });
  }

  /** Lets every waiting and every later message pass. No handler runs any more. */
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

  /** Answers held headers, before anything of their body is sent. */
  #passHeaders(direction: Direction): void {
    const body = this.#bodies?.of(direction);
    const held = body?.pipeline?.heldHeaders;
    body?.close();
    if (held) this.#send(this.#exchange.answer(held, CONTINUE));
  }

  /** Stops waiting for running handlers. Returns the message that waited for their answer. */
  #abandon(direction: Direction): PhaseMessage | undefined {
    const queue = this.#queues.of(direction);
    if (queue.awaited === undefined) return undefined;
    this.#late ??= new LateHandlers();
    this.#chain.abandon(direction);
    return queue.abandon(this.#late);
  }

  #endIfDone(): void {
    if (!this.#halfClosed || this.running) return;
    // No message that the exchange waits for will come. Envoy ends a stream in this way if its client left.
    const isCutOff = this.#exchange.lacksEnd && !this.#rules.shadow;
    if (this.#shared.threadWatch?.isBehindBlock && this.#answeredPhase && !this.#awaitsAnswer)
      this.#report.fault(this.#passed.tooLate(this.#answeredPhase, this.#answeredIn), "too_late");
    if (!this.#awaitsAnswer && this.#exchange.unsentBodies.length > 0) this.#passed.overridesUnseen();
    this.#end(this.#awaitsAnswer ? "unanswered" : isCutOff ? "canceled" : "completed");
  }

  /** @param error The error that the stream ends with; undefined if a fault was handled in another way. */
  #end(ended: SessionResult, error?: Fault): void {
    if (this.#over) return;
    this.#over = true;
    const lost = this.#bodies?.lostTail(ended === "completed");
    this.#bodyWait?.stop();
    this.#isEnding = lost instanceof Promise;
    const done = (failure: Fault | undefined) => this.#ended(ended, error, failure);
    if (lost instanceof Promise) within(lost, this.#rules.longestTimeoutMs, this.#timers, done);
    else done(lost);
  }

  #ended(ended: SessionResult, error: Fault | undefined, lost: Fault | undefined): void {
    this.#isEnding = false;
    if (lost !== undefined) this.#report.fault(lost, "bytes_lost");
    const waiting = ended === "unanswered" ? this.#passed.waiting() : undefined;
    for (const direction of DIRECTIONS) {
      this.#queues.of(direction).clear();
      this.#abandon(direction);
      this.#bodies?.of(direction).close();
    }
    this.#scope.end();
    this.#shared.sessions?.delete(this);
    const observed = this.#exchange.observabilityMode || undefined;
    const plain = { result: ended, error, observed, waiting };
    const end = this.#reportMade?.end(plain, this.#scope, this.#chain) ?? plain;
    this.#shared.observer?.ended(end, this.#options.origin);
    this.#options.outlet.ended(end);
    // A handler that never settles would keep the scope's data in memory.
    if (this.late) this.#scope.forget();
  }
}
