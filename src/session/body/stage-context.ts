import type { CoderRoom } from "../../bodies/coding/coder-memory.ts";
import type { CodingFailure } from "../../bodies/coding/coding-failure.ts";
import { holdingIn } from "../../bodies/split/held-bytes.ts";
import { SplitError } from "../../bodies/split/splitter.ts";
import type { BodyCap, StreamBudget } from "../../memory/body-budget.ts";
import type { HandlerTiming } from "../../processor/body-claims.ts";
import type { EffectPlace } from "../../processor/effect.ts";
import { isRouting } from "../../protocol/answers/write-answer.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { FaultCode } from "../../protocol/faults.ts";
import { joinedText } from "../../protocol/headers/headers.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { isThenable } from "../../text/value-kind.ts";
import type { BodyWork } from "../fold/fold-body.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import type { Soon, StageEnd } from "./body-stage.ts";
import { type CoderBudget, type FullBudget, HeldRoom } from "./held-room.ts";

/** The body that is handled now, as its stages see it. */
export interface CurrentBody {
  /** What handlers want for the current message. */
  readonly work: BodyWork;
  /** False after the headers were sent. */
  readonly takesHeaderChanges: boolean;
  readonly budget: StreamBudget;
  /** In GRPC mode: the current message is compressed. */
  readonly messageCompressed: boolean;
  /** The handlers' output is no longer needed. */
  readonly closed: boolean;
  /** A handler was called and has not settled. */
  pending(index: number): void;
  /** The output of a stage differs from its input. */
  changed(): void;
}

/** The options of a {@link StageContext}. */
export interface StageContextOptions {
  /** Index of the definition. */
  readonly index: number;
  readonly chain: HandlerChain;
  readonly phase: BodyPhase;
  /** The transaction object that the handler gets. */
  readonly tx: unknown;
  readonly timing: HandlerTiming;
  /** The handler cannot change the body, and does not require all of it. */
  readonly onlyLooks: boolean;
}

/**
 * Calls one handler of a body. It counts the bytes that the handler gets, and adds its effects to the work on the
 * message.
 */
export class StageContext implements CoderRoom {
  readonly tx: unknown;
  readonly #index: number;
  readonly #phase: BodyPhase;
  readonly #chain: HandlerChain;
  readonly #body: CurrentBody;
  readonly #onlyLooks: boolean;
  readonly #timing: HandlerTiming;
  /** Counts the bytes that the handler gets. Created for the first handler that may keep them. */
  #lent: HeldRoom | undefined;
  /** Counts the bytes that splitters hold back for the handler. Created for the first splitter that holds some. */
  #split: HeldRoom | undefined;
  #fullForSplit: FullBudget = "total";
  /** If the handler is a loop: settles when the loop ends. */
  #loop: Promise<unknown> | undefined;
  /** Bytes of the next call that are not counted, because the handler has always returned at once. */
  #uncounted: number | (() => number) = 0;

  constructor(body: CurrentBody, { index, chain, phase, tx, timing, onlyLooks }: StageContextOptions) {
    this.#timing = timing;
    this.#onlyLooks = onlyLooks;
    this.tx = tx;
    this.#index = index;
    this.#phase = phase;
    this.#chain = chain;
    this.#body = body;
  }

  get work(): BodyWork {
    return this.#body.work;
  }

  get messageCompressed(): boolean {
    return this.#body.messageCompressed;
  }

  /** False after the headers were sent. */
  get takesHeaderChanges(): boolean {
    return this.#body.takesHeaderChanges;
  }

  /** The `content-type` of the body, with the changes made so far. */
  get contentType(): string | undefined {
    return joinedText(this.work.head.fields, "content-type");
  }

  get budget(): StreamBudget {
    return this.#body.budget;
  }

  /**
   * Counts bytes that the next call gives to the handler, until the call settles. Returns the budget that has no room
   * for them, if there is one. Then the handler must not be called. For a handler that has always returned at once,
   * nothing is counted.
   *
   * @param bytes A function if computing the number is expensive.
   */
  lend(bytes: number | (() => number)): FullBudget | undefined {
    this.#uncounted = this.#timing.mayWait ? 0 : bytes;
    if (!this.#timing.mayWait || bytes === 0 || this.#body.closed) return undefined;
    this.#lent ??= new HeldRoom(this.budget);
    return this.#lent.take(typeof bytes === "number" ? bytes : bytes());
  }

  /**
   * Calls a handler and continues with its return value. If it throws, that is a fault.
   *
   * @param held Holds more of the handler's input than {@link lend} has counted.
   */
  call(
    handler: () => unknown,
    next: (outcome: unknown) => Soon<StageEnd | undefined>,
    held?: HeldRoom,
  ): Soon<StageEnd | undefined> {
    // An earlier stage may have waited, and the body may have been closed meanwhile.
    if (this.#body.closed) return undefined;
    try {
      const outcome = holdingIn(this, handler);
      if (isThenable(outcome)) return this.#settle(Promise.resolve(outcome), next, held);
      this.#lent?.give();
      return next(outcome);
    } catch (cause) {
      this.#lent?.give();
      return this.threw(cause);
    }
  }

  #settle(
    outcome: Promise<unknown>,
    next: (outcome: unknown) => Soon<StageEnd | undefined>,
    held: HeldRoom | undefined,
  ): Soon<StageEnd | undefined> {
    this.pending();
    this.#timing.mayWait = true;
    const uncounted = this.#uncounted;
    this.#uncounted = 0;
    // This happens once. From now on the input of this handler is counted before each call.
    const cap = this.lend(uncounted);
    this.#lent?.useUntil(outcome);
    held?.useUntil(outcome);
    if (cap !== undefined) {
      outcome.catch(() => undefined);
      return this.overLimit(cap, undefined);
    }
    return outcome
      .then((value) => {
        this.#lent?.give();
        return next(value);
      })
      .catch((cause: unknown) => {
        this.#lent?.give();
        return this.threw(cause);
      });
  }

  /** What {@link lend} counted stays counted until this promise settles, even if the stage closes before. */
  lendUntil(settled: Promise<unknown>): void {
    this.#loop = settled;
    this.#lent?.useUntil(settled);
    this.#split?.useUntil(settled);
  }

  /** Counts bytes that a splitter of the handler holds back. False if there is no room for them. */
  take(bytes: number): boolean {
    if (this.#body.closed) return true;
    if (this.#split === undefined) {
      this.#split = new HeldRoom(this.budget);
      if (this.#loop !== undefined) this.#split.useUntil(this.#loop);
    }
    const full = this.#split.take(bytes);
    this.#fullForSplit = full ?? this.#fullForSplit;
    return full === undefined;
  }

  /** Counts bytes of a splitter as free again. */
  give(bytes: number): void {
    this.#split?.give(bytes);
  }

  /** The handler no longer needs bytes that {@link lend} counted. */
  repay(bytes: number): void {
    this.#lent?.give(bytes);
  }

  /** The handler gets no more bytes. What it holds stays counted until it settles. */
  close(): void {
    this.#lent?.close();
    this.#split?.close();
  }

  /** Adds what a handler returned to the work on the message. */
  fold(outcome: unknown, place: EffectPlace): StageEnd | undefined {
    const { work, takesHeaderChanges } = this.#body;
    const before = work.headerChanges.length;
    const cleared = work.clearRouteCache;
    work.place = place;
    const end = this.#chain.fold(outcome, this.#index, work);
    if (end !== undefined) return end;
    if (takesHeaderChanges) return this.#refuseRouting(work);
    if (work.headerChanges.length === before && work.clearRouteCache === cleared) return undefined;
    return this.fault(
      "headers_already_sent",
      "header changes are too late: in this mode the headers are sent before the body",
    );
  }

  /** Envoy crashes if the answer to a partial body clears the route cache and no route matches. */
  #refuseRouting(work: BodyWork): Fault | undefined {
    if (this.#phase !== "requestBody" || work.exchange.bodyMode("request") !== "BUFFERED_PARTIAL") return undefined;
    if (!work.clearRouteCache && !work.headerChanges.some(isRouting)) return undefined;
    return this.fault(
      "invalid_effect",
      "the route cannot be chosen again in BUFFERED_PARTIAL; do it in requestHeaders",
    );
  }

  threw(cause: unknown): Fault {
    // The content of the body is not the handler's mistake. A pattern that is too short is.
    if (SplitError.is(cause) && cause.code === "no_room") return this.overLimit(this.#fullForSplit, undefined);
    if (SplitError.is(cause) && cause.code !== "match_too_long") {
      // A line or event above its limit is a body that is too large for its handler, whatever the policy. If the
      // handler only reads, nothing passes unchanged that it would have changed, so its policy decides.
      if (cause.code === "invalid_utf8" || this.#onlyLooks) return this.fault("body_undecodable", cause.message, cause);
      this.budget.total.refused("body", "reject");
      return this.fault("body_too_large", cause.message, cause);
    }
    return this.#chain.threw(this.#index, this.#phase, cause);
  }

  pending(): void {
    this.#body.pending(this.#index);
  }

  changed(): void {
    this.#body.changed();
  }

  /** Makes a fault of this handler's body. */
  fault(code: FaultCode, problem: string, cause?: unknown): Fault {
    const processor = this.#chain.nameOf(this.#index);
    return fault(code, `processor "${processor}", ${this.#phase}: ${problem}`, { processor, cause });
  }

  /** Makes the fault of a handler that would have added something at the end of a body, if the end was not seen. */
  lostTail(): Fault {
    const why = "the stream was over before the body's last piece: trailers hid the end, or the client left";
    return this.fault("tail_undeliverable", why);
  }

  /** Makes the fault of a body that exceeds a limit and must not pass. */
  overLimit(cap: BodyCap, maxBytes: number | undefined): Fault {
    const { total } = this.budget;
    total.refused(cap, "reject");
    switch (cap) {
      case "body":
        return this.fault("body_too_large", `the body is larger than allowed: maxBytes is ${maxBytes}`);
      case "envoy":
        return this.fault("body_too_large", "Envoy buffers the beginning of the body only (BUFFERED_PARTIAL)");
      case "stream":
        return this.fault(
          "body_too_large",
          `the bodies of the transaction are more than it may hold: maxHeldBodyBytesPerStream is ${total.maxStreamBytes}`,
        );
      case "total":
        return this.fault(
          "body_memory_exceeded",
          `the bodies of all transactions are more than the server may hold: maxHeldBodyBytes is ${total.share.maxBytes}`,
        );
    }
  }

  /** Counts a body that exceeds a limit and passes. */
  passes(cap: BodyCap): void {
    this.budget.total.refused(cap, "pass");
  }

  /** Makes the fault of a body that could not be decoded or encoded. `room` counts the memory of its coders. */
  codingFault({ code, coding }: CodingFailure, room?: CoderBudget): Fault {
    if (code === "no_room" && room?.full !== undefined) return this.overLimit(room.full, undefined);
    switch (code) {
      case "too_large":
      case "ratio":
        this.budget.total.refused("body", "reject");
        return this.fault("body_too_large", `the body, decoded (${coding}), is larger than allowed (${code})`);
      case "unsupported_coding":
        return this.fault("unknown_coding", `this Node cannot decode ${coding}`);
      case "busy":
        this.budget.total.refused("total", "reject");
        return this.fault("body_memory_exceeded", `too many bodies are decoded at the same time (${coding})`);
      case "engine_failed":
      case "no_room":
      case "closed":
        return this.fault("internal_error", `coding failed (${coding}, ${code})`);
      default:
        return this.fault("body_undecodable", `the body does not match its content-encoding (${coding}, ${code})`);
    }
  }
}

/** Forwards to the body flow, which is created after the contexts of its stages. */
export class DeferredBody implements CurrentBody {
  flow: CurrentBody | undefined;

  get work(): CurrentBody["work"] {
    return this.#created.work;
  }

  get takesHeaderChanges(): boolean {
    return this.#created.takesHeaderChanges;
  }

  get budget(): StreamBudget {
    return this.#created.budget;
  }

  get messageCompressed(): boolean {
    return this.#created.messageCompressed;
  }

  get closed(): boolean {
    return this.#created.closed;
  }

  pending(index: number): void {
    this.#created.pending(index);
  }

  changed(): void {
    this.#created.changed();
  }

  get #created(): CurrentBody {
    if (this.flow === undefined) throw new Error("the body flow does not exist yet");
    return this.flow;
  }
}
