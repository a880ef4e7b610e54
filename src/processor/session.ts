import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Answer } from "../protocol/answer.ts";
import { returnsBody } from "../protocol/body-mode.ts";
import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import { Exchange } from "../protocol/exchange.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import { type Direction, directionOf, isBodyPhase, type Phase, type PhaseMessage, phaseOf } from "../protocol/phase.ts";
import { definitionsOf, type Processor } from "./definition.ts";
import { HandlerChain } from "./run-handlers.ts";
import type { SessionLinks, SessionSet } from "./session-set.ts";
import { type Origin, type ScopeOptions, type TransactionResult, TransactionScope } from "./transaction.ts";

/** How a transaction ended. */
export type SessionResult = TransactionResult;

/** Every result, for counters that start at zero. */
export const SESSION_RESULTS: readonly SessionResult[] = ["completed", "immediate_response", "fault", "canceled"];

/** The end of a transaction; `fault` is there where `result` is `fault`. */
export interface SessionEnd {
  readonly result: SessionResult;
  readonly fault?: Fault;
  /**
   * True where Envoy only watches (`observability_mode`): the stream then ends with OK even after a fault, since an
   * error would fail the transaction that Envoy merely copies to us.
   */
  readonly observed?: boolean;
}

/** Where a session's answers go. No method may throw. */
export interface SessionOutlet {
  /** An answer, in the order in which it has to leave. */
  send(response: ProcessingResponse): void;
  /** The last call but {@link settled}, made once: the stream ends, with an error where there is a fault. */
  ended(end: SessionEnd): void;
  /** An asynchronous handler settled, perhaps without an answer: there may be room for more messages. */
  settled?(): void;
}

/** Watches sessions, for counters and logs. Methods must not throw. */
export interface SessionObserver {
  /** A message opened a phase. */
  message(phase: Phase, origin: Origin): void;
  /** A transaction is over. */
  ended(end: SessionEnd, origin: Origin): void;
}

export interface SessionOptions extends ScopeOptions {
  readonly outlet: SessionOutlet;
  /** What the operator says of Envoy's side. Default: Envoy's own defaults. */
  readonly declaration?: EnvoyDeclaration | undefined;
  readonly observer?: SessionObserver | undefined;
  /** Holds the session while it is open. Default: nobody does. */
  readonly sessions?: SessionSet | undefined;
}

interface DirectionQueue {
  /** An asynchronous handler runs; what comes meanwhile waits. */
  busy: boolean;
  readonly waiting: ProcessingRequest[];
}

/**
 * One transaction on its way through a processor: messages in, answers out. Synchronous as long as the handlers
 * are. Each direction keeps its order, and neither waits for the other, as Envoy's own state machines do.
 */
export class Session {
  /** For the {@link SessionSet} that the session is in. */
  readonly links: SessionLinks = { previous: undefined, next: undefined };
  readonly #exchange: Exchange;
  readonly #scope: TransactionScope;
  readonly #chain: HandlerChain;
  readonly #options: SessionOptions;
  readonly #queues: Record<Direction, DirectionQueue> = {
    request: { busy: false, waiting: [] },
    response: { busy: false, waiting: [] },
  };
  #halfClosed = false;
  #over = false;

  constructor(processor: Processor, options: SessionOptions) {
    this.#options = options;
    this.#exchange = new Exchange(options);
    this.#scope = new TransactionScope(this.#exchange, options);
    this.#chain = new HandlerChain(definitionsOf(processor), this.#scope);
    options.sessions?.add(this);
  }

  /** Messages that wait for a handler to settle. A transport stops reading while there are too many. */
  get backlog(): number {
    return this.#queues.request.waiting.length + this.#queues.response.waiting.length;
  }

  /** True while a handler is at work, which it may be when the transaction is long over. */
  get running(): boolean {
    return this.#queues.request.busy || this.#queues.response.busy;
  }

  /**
   * Takes the peer's next message. True where nothing refers to its bytes any more: a piece of a body that has been
   * answered without them, and that no handler has seen.
   */
  receive(message: ProcessingRequest): boolean {
    if (this.#over) return false;
    const phase = phaseOf(message);
    const direction = phase === undefined ? "request" : directionOf(phase);
    const queue = this.#queues[direction];
    if (queue.busy && phase !== undefined) {
      queue.waiting.push(message);
      return false;
    }
    this.#take(message, queue);
    return isBodyPhase(phase) && !queue.busy && !returnsBody(this.#exchange.bodyMode(direction));
  }

  /** The peer sends nothing more: the session ends as soon as it has answered what it has. */
  finish(): void {
    this.#halfClosed = true;
    this.#endIfDone();
  }

  /** The peer is gone: nothing can be answered any more. */
  cancel(): void {
    this.#end({ result: this.#owes ? "canceled" : "completed" });
  }

  /** The transport could not read on. Without a fault the peer is gone. */
  fail(failure: Fault | undefined): void {
    if (failure === undefined) this.cancel();
    else this.#end({ result: "fault", fault: failure });
  }

  /** The server has to go. An answer that is still owed becomes a fault: Envoy takes a plain end for "let it pass". */
  shutDown(): void {
    if (this.#owes) this.fail(fault("server_draining", "the server shut down before the answer was ready"));
    else this.#end({ result: "completed" });
  }

  get #owes(): boolean {
    return this.#exchange.owed > 0 || (this.backlog > 0 && !this.#exchange.observabilityMode);
  }

  #take(message: ProcessingRequest, queue: DirectionQueue): void {
    const accepted = this.#exchange.accept(message);
    if (accepted.kind === "ignored") return;
    if (accepted.kind === "fault") {
      this.fail(accepted);
      return;
    }
    this.#options.observer?.message(accepted.message.case, this.#options.origin);
    const answer = this.#run(accepted.message);
    if (!(answer instanceof Promise)) {
      this.#settle(accepted.message, answer);
      return;
    }
    queue.busy = true;
    answer.then(
      (settled) => this.#resume(accepted.message, settled, queue),
      (cause: unknown) => this.fail(runningFailed(cause)),
    );
  }

  /** The chain neither throws nor rejects; were it to happen, it must not end the process. */
  #run(message: PhaseMessage): Answer | Fault | Promise<Answer | Fault> {
    try {
      return this.#chain.run(message);
    } catch (cause) {
      return runningFailed(cause);
    }
  }

  #resume(message: PhaseMessage, answer: Answer | Fault, queue: DirectionQueue): void {
    queue.busy = false;
    if (!this.#over) {
      this.#settle(message, answer);
      this.#takeWaiting(queue);
      this.#endIfDone();
    }
    this.#options.outlet.settled?.();
  }

  #takeWaiting(queue: DirectionQueue): void {
    while (!queue.busy && !this.#over) {
      const next = queue.waiting.shift();
      if (next === undefined) return;
      this.#take(next, queue);
    }
  }

  #settle(message: PhaseMessage, answer: Answer | Fault): void {
    if (answer.kind === "fault") {
      this.fail(answer);
      return;
    }
    for (const response of this.#exchange.answer(message, answer)) this.#options.outlet.send(response);
    if (answer.kind === "immediate" && !this.#exchange.observabilityMode) this.#end({ result: "immediate_response" });
  }

  #endIfDone(): void {
    if (this.#halfClosed && !this.running) this.#end({ result: "completed" });
  }

  #end(end: SessionEnd): void {
    if (this.#over) return;
    this.#over = true;
    for (const queue of Object.values(this.#queues)) queue.waiting.length = 0;
    this.#scope.end();
    this.#options.sessions?.delete(this);
    const told = this.#exchange.observabilityMode ? { ...end, observed: true } : end;
    this.#options.observer?.ended(told, this.#options.origin);
    this.#options.outlet.ended(told);
  }
}

function runningFailed(cause: unknown): Fault {
  return fault("internal_error", "running a handler failed", { cause });
}
