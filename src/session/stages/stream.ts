import { ChunkSource } from "../../bodies/chunk-source.ts";
import { plainBytes } from "../../bodies/owned-bytes.ts";
import { withRoom } from "../../bodies/split/held-bytes.ts";
import { endIteration, iteratorResult } from "../../processor/author-iterator.ts";
import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import { tailOf } from "./chunks.ts";
import { ByteLimit, type HandlerCall } from "./handler-call.ts";
import type { BodyBytes, BodyStage, Soon, Step } from "./step.ts";
import { after, changedTo, endedBy, followedBy, NOTHING, withoutOutput } from "./step.ts";

/** An iterator that waits for nothing gives the event loop a turn after this number of steps. */
const STEPS_PER_TURN = 250;

type StreamHandler = Extract<AnyBodyHandler, { read: "stream" }>;
/** What the loop did next: it yielded a value, ended, or failed. */
type LoopResult = { readonly done: boolean; readonly value: unknown } | { readonly cause: unknown };

/**
 * Runs a handler that loops over the chunks of a body. A chunk is finished when the handler asks for the next one. What
 * the handler yields until then replaces the chunk. The loop continues only after its output has passed on.
 */
export class StreamStage implements BodyStage {
  readonly #call: HandlerCall;
  readonly #handler: StreamHandler;
  readonly #limit: ByteLimit;
  readonly #source = new ChunkSource();
  #began = false;
  #iterator: AsyncIterator<unknown> | undefined;
  /** What the loop does next. It can come after the handler has asked for the next chunk. */
  #next: Promise<LoopResult> | undefined;
  #steps = 0;
  /** The loop has ended, or its output is no longer needed. */
  #isOver = false;
  /** The handler works on a chunk. */
  #isBusy = false;
  /** The bytes of the chunk that the handler works on. */
  #chunkBytes = 0;
  /** Bytes that the handler got and has not yielded. */
  #keptBytes = 0;

  constructor(call: HandlerCall, handler: StreamHandler) {
    this.#call = call;
    this.#handler = handler;
    this.#limit = new ByteLimit(call, handler);
  }

  /** The handler decides what happens with its chunks, so it is not known whether it has yielded all of them. */
  get withholds(): boolean {
    return this.#began;
  }

  push(piece: BodyBytes): Soon<Step> {
    if (piece.length === 0 || (this.#isOver && !this.#limit.exceeded)) return NOTHING;
    const excess = this.#limit.take(piece.length);
    if (excess === "pass") return after(this.#endLoop(), (step) => followedBy(step, piece));
    if (excess !== undefined) return endedBy(excess);
    this.#chunkBytes = piece.length;
    this.#keptBytes += piece.length;
    this.#began = true;
    this.#next ??= this.#result();
    return this.#step(this.#source.give(piece).then(aLittleLater));
  }

  end(complete: boolean): Soon<Step> {
    const { faults } = this.#call;
    return after(this.#endLoop(), (step) => (complete ? step : withoutOutput(step, () => faults.overLimit("envoy"))));
  }

  /**
   * Lets the loop end, to see whether it yields anything at the end. A loop that waits for something other than chunks
   * has lost bytes if it got more bytes than it yielded.
   */
  async lostTail(): Promise<Fault | undefined> {
    if (!this.#began || this.#isOver) return undefined;
    const turn = new Promise<undefined>((resolve) => setImmediate(resolve, undefined));
    const step = this.#isBusy ? undefined : await Promise.race([this.#endLoop(), turn]);
    const isLost = step === undefined ? this.#keptBytes > 0 : step.end !== undefined || step.pieces.length > 0;
    return isLost ? this.#call.faults.lostTail() : undefined;
  }

  close(): void {
    const isRunning = this.#began && !this.#isOver;
    this.#isOver = true;
    // The loop's input stays counted until the loop stops, even if its output is no longer needed.
    this.#call.close(isRunning ? this.#next : undefined);
    if (!isRunning) return;
    this.#source.fail();
    // A generator that waits for a chunk ends by itself. One that waits for something else may never end.
    if (this.#iterator !== undefined) endIteration(this.#iterator);
  }

  #endLoop(): Soon<Step> {
    if (!this.#began || this.#isOver) return NOTHING;
    this.#source.end();
    return this.#step(undefined);
  }

  /** Waits until the loop yields something, ends, or asks for the next chunk. */
  async #step(finished: Promise<undefined> | undefined): Promise<Step> {
    this.#isBusy = true;
    while (!this.#isOver) {
      this.#next ??= this.#result();
      const result = await (finished === undefined ? this.#next : Promise.race([this.#next, finished]));
      if (result === undefined || this.#isOver) break;
      this.#next = undefined;
      if ("cause" in result) {
        this.#isOver = true;
        return endedBy(this.#call.threw(result.cause));
      }
      if (result.done) {
        this.#isOver = true;
        break;
      }
      // After the transaction is over, an iterator without return() would go on for ever.
      if (++this.#steps % STEPS_PER_TURN === 0) await nextTurn();
      const step = this.#yielded(result.value, () => this.#step(finished));
      if (step.end !== undefined || step.pieces.length > 0) return step;
    }
    this.#isBusy = false;
    this.#call.repay(this.#chunkBytes);
    this.#chunkBytes = 0;
    // The end of the loop adds nothing; a chunk was replaced by what the loop yielded.
    return finished === undefined ? NOTHING : changedTo([]);
  }

  #yielded(value: unknown, more: Step["more"]): Step {
    if (this.#isOver) return NOTHING;
    if (value instanceof Uint8Array) {
      this.#keptBytes -= value.length;
      return changedTo(value.length > 0 ? [plainBytes(value)] : [], more);
    }
    try {
      const effects = this.#call.fold(value, `${this.#call.body.phase}End`);
      return effects.kind === "body" ? tailOf(effects.tail, more) : endedBy(effects);
    } catch (cause) {
      // The yielded value may have getters.
      return endedBy(this.#call.threw(cause));
    }
  }

  /** Runs the loop until it yields. */
  async #result(): Promise<LoopResult> {
    try {
      this.#iterator ??= this.#start();
      const { done, value } = iteratorResult(await this.#iterator.next());
      return { done: done === true, value };
    } catch (cause) {
      return { cause };
    }
  }

  #start(): AsyncIterator<unknown> {
    const chunks = withRoom(this.#source, this.#call);
    const iterable = this.#handler.handle(chunks, this.#call.tx as never) as AsyncIterable<unknown>;
    return iterable[Symbol.asyncIterator]();
  }
}

/** A handler that reads one chunk ahead yields right after it has asked for the next chunk. */
async function aLittleLater(): Promise<undefined> {
  for (let ticks = 0; ticks < 4; ticks++) await undefined;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
