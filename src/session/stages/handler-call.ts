import type { CoderRoom } from "../../bodies/coding/coder-memory.ts";
import type { CodingFailure } from "../../bodies/coding/coding-failure.ts";
import { holdingIn } from "../../bodies/split/held-bytes.ts";
import { SplitError } from "../../bodies/split/splitter.ts";
import type { BodyBudget, BodyCap } from "../../memory/body-budget.ts";
import { type CoderBudget, type FullBudget, HeldRoom } from "../../memory/held-room.ts";
import type { BodyClaim, HandlerTiming } from "../../processor/body-claims.ts";
import type { BodyOptions } from "../../processor/body-handler.ts";
import type { EffectPlace } from "../../processor/effect.ts";
import { isRouting } from "../../protocol/answers/write-answer.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { FaultCode } from "../../protocol/faults.ts";
import { joinedText } from "../../protocol/headers/headers.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { isThenable } from "../../text/value-kind.ts";
import type { BodyEffects, SourceText } from "../fold/fold-body.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import type { CurrentBody } from "./current-body.ts";
import { endedBy, NOTHING, type Soon, type StageEnd, type Step } from "./step.ts";

const NO_EFFECTS: BodyEffects = { kind: "body", replacement: undefined, tail: [] };

/**
 * Calls one handler of a body. It counts the bytes that the handler gets, and adds its effects to the work on the
 * message.
 */
export class HandlerCall implements CoderRoom {
  /** Index of the definition. */
  readonly index: number;
  /** The transaction object that the handler gets. */
  readonly tx: unknown;
  readonly body: CurrentBody;
  readonly faults: BodyFaults;
  readonly #chain: HandlerChain;
  readonly #timing: HandlerTiming;
  /** The handler cannot change the body, and does not require all of it. */
  readonly #onlyLooks: boolean;
  /** Counts the bytes that the handler gets. Created for the first handler that may keep them. */
  #lent: HeldRoom | undefined;
  /** Counts the bytes that splitters hold back for the handler. Created for the first splitter that holds some. */
  #split: HeldRoom | undefined;
  #fullForSplit: FullBudget = "total";
  /** Bytes of the next call that are not counted, because the handler has always returned at once. */
  #uncounted: number | (() => number) = 0;

  constructor(body: CurrentBody, { index, handler, timing }: BodyClaim, chain: HandlerChain, tx: unknown) {
    this.index = index;
    this.tx = tx;
    this.body = body;
    this.faults = new BodyFaults(chain.nameOf(index), body.phase, body.budget.total);
    this.#chain = chain;
    this.#timing = timing;
    this.#onlyLooks = handler.read === "inspect" && handler.required !== true;
  }

  /** The `content-type` of the body, with the changes made so far. */
  get contentType(): string | undefined {
    return joinedText(this.body.work.head.fields, "content-type");
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
    if (!this.#timing.mayWait || bytes === 0 || this.body.isClosed) return undefined;
    this.#lent ??= new HeldRoom(this.body.budget);
    return this.#lent.take(typeof bytes === "number" ? bytes : bytes());
  }

  /** The handler no longer needs bytes that {@link lend} counted. */
  repay(bytes: number): void {
    this.#lent?.give(bytes);
  }

  /**
   * Calls a handler and continues with its return value. If it throws, that is a fault.
   *
   * @param held Holds more of the handler's input than {@link lend} has counted.
   */
  run(handler: () => unknown, next: (returned: unknown) => Soon<Step>, held?: HeldRoom): Soon<Step> {
    // An earlier stage may have waited, and the body may have been closed meanwhile.
    if (this.body.isClosed) return NOTHING;
    try {
      const returned = holdingIn(this, handler);
      if (isThenable(returned)) return this.#settle(Promise.resolve(returned), next, held);
      this.#lent?.give();
      return next(returned);
    } catch (cause) {
      this.#lent?.give();
      return endedBy(this.threw(cause));
    }
  }

  async #settle(
    returned: Promise<unknown>,
    next: (returned: unknown) => Soon<Step>,
    held: HeldRoom | undefined,
  ): Promise<Step> {
    this.#timing.mayWait = true;
    const uncounted = this.#uncounted;
    this.#uncounted = 0;
    // This happens once. From now on the input of this handler is counted before each call.
    const cap = this.lend(uncounted);
    this.#lent?.useUntil(returned);
    held?.useUntil(returned);
    if (cap !== undefined) {
      returned.catch(() => undefined);
      return endedBy(this.faults.overLimit(cap));
    }
    try {
      const value = await returned;
      this.#lent?.give();
      return await next(value);
    } catch (cause) {
      this.#lent?.give();
      return endedBy(this.threw(cause));
    }
  }

  /**
   * Adds what a handler returned to the work on the message. Returns what ends the body, or the effects on its bytes.
   */
  fold(returned: unknown, place: EffectPlace, source?: SourceText): StageEnd | BodyEffects {
    if (returned === undefined) return NO_EFFECTS;
    const { work, takesHeaderChanges } = this.body;
    const before = work.headerChanges.length;
    const cleared = work.clearRouteCache;
    work.place = place;
    const folded = this.#chain.fold(returned, this.index, work, source);
    if (folded !== undefined && folded.kind !== "body") return folded;
    const isChanged = work.headerChanges.length > before || work.clearRouteCache !== cleared;
    const refusal = isChanged && (takesHeaderChanges ? this.#refuseRouting() : this.#tooLate());
    return refusal || (folded ?? NO_EFFECTS);
  }

  #tooLate(): Fault {
    const why = "header changes are too late: in this mode the headers are sent before the body";
    return this.faults.fault("headers_already_sent", why);
  }

  /** Envoy crashes if the answer to a partial body clears the route cache and no route matches. */
  #refuseRouting(): Fault | undefined {
    const { phase, work, exchange } = this.body;
    if (phase !== "requestBody" || exchange.bodyMode("request") !== "BUFFERED_PARTIAL") return undefined;
    if (!work.clearRouteCache && !work.headerChanges.some(isRouting)) return undefined;
    const why = "the route cannot be chosen again in BUFFERED_PARTIAL; do it in requestHeaders";
    return this.faults.fault("invalid_effect", why);
  }

  /** Makes the fault of what a handler threw. */
  threw(cause: unknown): Fault {
    // The content of the body is not the handler's mistake. A pattern that is too short is.
    if (SplitError.is(cause) && cause.code === "no_room") return this.faults.overLimit(this.#fullForSplit);
    if (SplitError.is(cause) && cause.code !== "match_too_long") {
      // A line or event above its limit is a body that is too large for its handler, whatever the policy. If the
      // handler only reads, nothing passes unchanged that it would have changed, so its policy decides.
      return cause.code === "invalid_utf8" || this.#onlyLooks
        ? this.faults.fault("body_undecodable", cause.message, cause)
        : this.faults.tooLarge(cause.message, cause);
    }
    return this.#chain.threw(this.index, this.body.phase, cause);
  }

  /** Counts bytes that a splitter of the handler holds back. False if there is no room for them. */
  take(bytes: number): boolean {
    if (this.body.isClosed) return true;
    this.#split ??= new HeldRoom(this.body.budget);
    const full = this.#split.take(bytes);
    this.#fullForSplit = full ?? this.#fullForSplit;
    return full === undefined;
  }

  /** Counts bytes of a splitter as free again. */
  give(bytes: number): void {
    this.#split?.give(bytes);
  }

  /**
   * The handler gets no more bytes. What it holds stays counted until it settles.
   *
   * @param settled Settles when a handler that is a loop has stopped.
   */
  close(settled?: Promise<unknown>): void {
    for (const room of [this.#lent, this.#split]) {
      if (settled !== undefined) room?.useUntil(settled);
      room?.close();
    }
  }
}

/**
 * Counts the bytes that a handler sees against its `maxBytes`, and the bytes that it gets against the memory budgets.
 */
export class ByteLimit {
  readonly #call: HandlerCall;
  readonly #options: BodyOptions<never, never>;
  #bytes = 0;
  /** True after the limit was exceeded. The rest passes unseen. */
  exceeded = false;

  constructor(call: HandlerCall, options: BodyOptions<never, never>) {
    this.#call = call;
    this.#options = options;
  }

  /**
   * Counts a piece. Undefined: give it to the handler. `pass`: it passes unseen. Otherwise the returned value ends the
   * body.
   */
  take(bytes: number): StageEnd | "pass" | undefined {
    const { maxBytes } = this.#options;
    this.#bytes += bytes;
    if (this.exceeded) return "pass";
    if (maxBytes !== undefined && this.#bytes > maxBytes) return this.#exceed("body");
    const cap = this.#call.lend(bytes);
    return cap && this.#exceed(cap);
  }

  #exceed(cap: BodyCap): StageEnd | "pass" {
    const { maxBytes, overLimit } = this.#options;
    if (overLimit !== "pass") return this.#call.faults.overLimit(cap, maxBytes);
    this.#call.faults.passes(cap);
    this.exceeded = true;
    return "pass";
  }
}

/** Makes the faults of one handler's body, and counts the bodies that exceed a limit. */
class BodyFaults {
  readonly #processor: string;
  readonly #phase: BodyPhase;
  readonly #budget: BodyBudget;

  constructor(processor: string, phase: BodyPhase, budget: BodyBudget) {
    this.#processor = processor;
    this.#phase = phase;
    this.#budget = budget;
  }

  /** Makes a fault of this handler's body. */
  fault(code: FaultCode, problem: string, cause?: unknown): Fault {
    const processor = this.#processor;
    return fault(code, `processor "${processor}", ${this.#phase}: ${problem}`, { processor, cause });
  }

  /** Makes the fault of a handler that would have added something at the end of a body, if the end was not seen. */
  lostTail(): Fault {
    const why = "the stream was over before the body's last piece: trailers hid the end, or the client left";
    return this.fault("tail_undeliverable", why);
  }

  /** Makes the fault of a body that is too large for its handler for another reason than a limit of the operator. */
  tooLarge(problem: string, cause?: unknown): Fault {
    this.#budget.refused("body", "reject");
    return this.fault("body_too_large", problem, cause);
  }

  /** Makes the fault of a body that exceeds a limit and must not pass. */
  overLimit(cap: BodyCap, maxBytes?: number): Fault {
    const { share, maxStreamBytes } = this.#budget;
    this.#budget.refused(cap, "reject");
    switch (cap) {
      case "body":
        return this.fault("body_too_large", `the body is larger than allowed: maxBytes is ${maxBytes}`);
      case "envoy":
        return this.fault("body_too_large", "Envoy buffers the beginning of the body only (BUFFERED_PARTIAL)");
      case "stream":
        return this.fault(
          "body_too_large",
          `the bodies of the transaction are more than it may hold: maxHeldBodyBytesPerStream is ${maxStreamBytes}`,
        );
      case "total":
        return this.fault(
          "body_memory_exceeded",
          `the bodies of all transactions are more than the server may hold: maxHeldBodyBytes is ${share.maxBytes}`,
        );
    }
  }

  /** Counts a body that exceeds a limit and passes. */
  passes(cap: BodyCap): void {
    this.#budget.refused(cap, "pass");
  }

  /** Makes the fault of a body that could not be decoded or encoded. `room` counts the memory of its coders. */
  codingFault({ code, coding }: CodingFailure, room?: CoderBudget): Fault {
    if (code === "no_room" && room?.full !== undefined) return this.overLimit(room.full);
    switch (code) {
      case "too_large":
      case "ratio":
        return this.tooLarge(`the body, decoded (${coding}), is larger than allowed (${code})`);
      case "unsupported_coding":
        return this.fault("unknown_coding", `this Node cannot decode ${coding}`);
      case "busy":
        this.#budget.refused("total", "reject");
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
