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

/** What the stages of a body have in common: the message that is worked on. */
export interface BodyScene {
  /** What handlers want of the message under way. */
  readonly work: BodyWork;
  /** False once the headers have left. */
  readonly takesHeaderChanges: boolean;
  readonly budget: StreamBudget;
  /** In GRPC mode: the message under way is compressed. */
  readonly messageCompressed: boolean;
  /** Nobody waits for the handlers any more. */
  readonly closed: boolean;
  /** A handler is at work that has not settled. */
  pending(index: number): void;
  /** What goes on is not what came. */
  changed(): void;
}

/** What a {@link StageHost} is made of. */
export interface StageHostOptions {
  /** Index of the definition. */
  readonly index: number;
  readonly chain: HandlerChain;
  readonly phase: BodyPhase;
  /** What the handler is given. */
  readonly tx: unknown;
  readonly timing: HandlerTiming;
  /** The handler cannot change the body, and does not insist on seeing all of it. */
  readonly onlyLooks: boolean;
}

/** One handler's way to the transaction: what it is given, and what becomes of what it gives. */
export class StageHost implements CoderRoom {
  readonly tx: unknown;
  readonly #index: number;
  readonly #phase: BodyPhase;
  readonly #chain: HandlerChain;
  readonly #scene: BodyScene;
  readonly #onlyLooks: boolean;
  readonly #timing: HandlerTiming;
  /** Counts what the handler is given. Made for the first handler that may keep it. */
  #lent: HeldRoom | undefined;
  /** Counts what splitters hold back for the handler. Made for the first of them that does. */
  #split: HeldRoom | undefined;
  #fullForSplit: FullBudget = "total";
  /** The handler runs until this settles, if it is a loop. */
  #loop: Promise<unknown> | undefined;
  /** Bytes that the next call is given and that are not counted, since the handler has always returned at once. */
  #uncounted: number | (() => number) = 0;

  constructor(scene: BodyScene, { index, chain, phase, tx, timing, onlyLooks }: StageHostOptions) {
    this.#timing = timing;
    this.#onlyLooks = onlyLooks;
    this.tx = tx;
    this.#index = index;
    this.#phase = phase;
    this.#chain = chain;
    this.#scene = scene;
  }

  get work(): BodyWork {
    return this.#scene.work;
  }

  get messageCompressed(): boolean {
    return this.#scene.messageCompressed;
  }

  /** False once the headers have left. */
  get takesHeaderChanges(): boolean {
    return this.#scene.takesHeaderChanges;
  }

  /** `content-type` of the body, with the changes made so far. */
  get contentType(): string | undefined {
    return joinedText(this.work.head.fields, "content-type");
  }

  get budget(): StreamBudget {
    return this.#scene.budget;
  }

  /**
   * Counts bytes that the next call gives to the handler, until it settles. Says which budget has no room for them, if one
   * has none; then the handler must not be called. For a handler that has always returned at once nothing is counted.
   *
   * @param bytes A function if it takes work to know them.
   */
  lend(bytes: number | (() => number)): FullBudget | undefined {
    this.#uncounted = this.#timing.mayWait ? 0 : bytes;
    if (!this.#timing.mayWait || bytes === 0 || this.#scene.closed) return undefined;
    this.#lent ??= new HeldRoom(this.budget);
    return this.#lent.take(typeof bytes === "number" ? bytes : bytes());
  }

  /**
   * Calls a handler and goes on with what it returned. What it throws is a fault.
   *
   * @param held Holds more of what the handler is given than {@link lend} has counted.
   */
  call(
    handler: () => unknown,
    next: (outcome: unknown) => Soon<StageEnd | undefined>,
    held?: HeldRoom,
  ): Soon<StageEnd | undefined> {
    // What came before it took its time.
    if (this.#scene.closed) return undefined;
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
    // It happens once: from now on what this handler is given is counted before it is called.
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

  /** What {@link lend} counted stays so until this settles, also if the stage closes before. */
  lendUntil(settled: Promise<unknown>): void {
    this.#loop = settled;
    this.#lent?.useUntil(settled);
    this.#split?.useUntil(settled);
  }

  /** Counts bytes that a splitter of the handler holds back. False: there is no room for them. */
  take(bytes: number): boolean {
    if (this.#scene.closed) return true;
    if (this.#split === undefined) {
      this.#split = new HeldRoom(this.budget);
      if (this.#loop !== undefined) this.#split.useUntil(this.#loop);
    }
    const full = this.#split.take(bytes);
    this.#fullForSplit = full ?? this.#fullForSplit;
    return full === undefined;
  }

  /** Counts bytes that a splitter took as free again. */
  give(bytes: number): void {
    this.#split?.give(bytes);
  }

  /** The handler is done with bytes that {@link lend} counted. */
  repay(bytes: number): void {
    this.#lent?.give(bytes);
  }

  /** Nothing more is given to the handler. What it holds stays counted until it settles. */
  close(): void {
    this.#lent?.close();
    this.#split?.close();
  }

  /** Adds what a handler returned to the work on the message. */
  fold(outcome: unknown, place: EffectPlace): StageEnd | undefined {
    const { work, takesHeaderChanges } = this.#scene;
    const before = work.headerChanges.length;
    const cleared = work.clearRouteCache;
    work.place = place;
    const end = this.#chain.fold(outcome, this.#index, work);
    if (end !== undefined) return end;
    if (takesHeaderChanges) return this.#refuseRouting(work);
    if (work.headerChanges.length === before && work.clearRouteCache === cleared) return undefined;
    return this.fault(
      "headers_already_sent",
      "header changes come too late: in this mode the headers leave before the body",
    );
  }

  /** Envoy's whole process ends where a partial body's answer clears the route cache and no route matches. */
  #refuseRouting(work: BodyWork): Fault | undefined {
    if (this.#phase !== "requestBody" || work.exchange.bodyMode("request") !== "BUFFERED_PARTIAL") return undefined;
    if (!work.clearRouteCache && !work.headerChanges.some(isRouting)) return undefined;
    return this.fault("invalid_effect", "the route cannot be chosen anew in BUFFERED_PARTIAL; do so in requestHeaders");
  }

  threw(cause: unknown): Fault {
    // What the body is like is not the handler's doing; that its pattern is too short is.
    if (SplitError.is(cause) && cause.code === "no_room") return this.overLimit(this.#fullForSplit, undefined);
    if (SplitError.is(cause) && cause.code !== "match_too_long") {
      // A line or event above its limit is a body too large for its handler, whatever the fault policy. If the handler only
      // looks, nothing passes unchanged that it would have changed, and its policy decides.
      if (cause.code === "invalid_utf8" || this.#onlyLooks) return this.fault("body_undecodable", cause.message, cause);
      this.budget.total.refused("body", "reject");
      return this.fault("body_too_large", cause.message, cause);
    }
    return this.#chain.threw(this.#index, this.#phase, cause);
  }

  pending(): void {
    this.#scene.pending(this.#index);
  }

  changed(): void {
    this.#scene.changed();
  }

  /** A fault of this handler's body. */
  fault(code: FaultCode, problem: string, cause?: unknown): Fault {
    const processor = this.#chain.nameOf(this.#index);
    return fault(code, `processor "${processor}", ${this.#phase}: ${problem}`, { processor, cause });
  }

  /** The fault of a handler that has something to say at the end of a body, which nobody saw. */
  lostTail(): Fault {
    const why = "the stream was over before the body's last piece: trailers hid the end, or the client went away";
    return this.fault("tail_undeliverable", why);
  }

  /** The fault of a body that is too large for something, and may not pass. */
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

  /** Counts a body that is too large for something, and passes. */
  passes(cap: BodyCap): void {
    this.budget.total.refused(cap, "pass");
  }

  /** Why a body could not be decoded or encoded. `room`: where the memory of its coders is counted. */
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
        return this.fault("body_undecodable", `the body is not what its content-encoding says (${coding}, ${code})`);
    }
  }
}

/** A scene that is there only once it is known what is to be played. */
export class LateScene implements BodyScene {
  scene: BodyScene | undefined;

  get work(): BodyScene["work"] {
    return this.#there.work;
  }

  get takesHeaderChanges(): boolean {
    return this.#there.takesHeaderChanges;
  }

  get budget(): StreamBudget {
    return this.#there.budget;
  }

  get messageCompressed(): boolean {
    return this.#there.messageCompressed;
  }

  get closed(): boolean {
    return this.#there.closed;
  }

  pending(index: number): void {
    this.#there.pending(index);
  }

  changed(): void {
    this.#there.changed();
  }

  get #there(): BodyScene {
    if (this.scene === undefined) throw new Error("no body is under way");
    return this.scene;
  }
}
