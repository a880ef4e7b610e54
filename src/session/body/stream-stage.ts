import { plainBytes } from "../../bodies/owned-bytes.ts";
import { withRoom } from "../../bodies/split/held-bytes.ts";
import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { nameKind } from "../../text/value-kind.ts";
import type { BodyBytes, BodyStage, Emit, Soon, StageEnd } from "./body-stage.ts";
import { ByteLimit, emitTail, tailEmit } from "./chunk-stage.ts";
import type { StageContext } from "./stage-context.ts";

/** An iterator that waits for nothing gives the event loop a turn after this number of steps. */
const STEPS_PER_TURN = 250;

type StreamHandler = Extract<AnyBodyHandler, { read: "stream" }>;

/**
 * Runs a handler that loops over the chunks of a body. A chunk is finished when the handler asks for the next one. What
 * the handler yields until then replaces the chunk.
 */
export class StreamStage implements BodyStage {
  readonly #context: StageContext;
  readonly #handler: StreamHandler;
  readonly #phase: BodyPhase;
  readonly #limit: ByteLimit;
  readonly #source = new ChunkSource();
  #iterator: AsyncIterator<unknown> | undefined;
  #running: Promise<StageEnd | undefined> | undefined;
  #finished = false;
  /** The output is no longer needed, except what the loop yields at its end. */
  #isDraining = false;
  /** Bytes that the handler got and has not yielded. */
  #keptBytes = 0;
  #emit: Emit = () => undefined;

  constructor(context: StageContext, handler: StreamHandler, phase: BodyPhase) {
    this.#context = context;
    this.#handler = handler;
    this.#phase = phase;
    this.#limit = new ByteLimit(context, handler);
  }

  /** The handler decides what happens with its chunks, so it is not known whether it has yielded all of them. */
  get withholds(): boolean {
    return this.#running !== undefined;
  }

  async push(piece: BodyBytes, emit: Emit): Promise<StageEnd | undefined> {
    if (piece.length === 0 || (this.#finished && !this.#limit.exceeded)) return undefined;
    this.#emit = emit;
    const excess = this.#limit.take(piece.length);
    if (excess === "pass") return (await this.#endLoop()) ?? emit(piece);
    if (excess !== undefined) return excess;
    this.#context.changed();
    this.#context.pending();
    this.#keptBytes += piece.length;
    this.#start();
    const end = await this.#untilHungry(this.#source.give(piece));
    this.#context.repay(piece.length);
    return end;
  }

  async end(emit: Emit, complete: boolean): Promise<StageEnd | undefined> {
    if (this.#running === undefined) return undefined;
    this.#emit = tailEmit(this.#context, emit, complete);
    this.#context.pending();
    return await this.#endLoop();
  }

  /**
   * Lets the loop end, to see whether it yields anything at the end. A loop that waits for something other than chunks
   * is closed. It has lost bytes if it got more bytes than it yielded.
   */
  lostTail(): Soon<Fault | undefined> {
    if (this.#running === undefined || this.#finished) return undefined;
    let isLost = false;
    this.#emit = () => {
      isLost = true;
      return undefined;
    };
    this.#isDraining = true;
    const turn = new Promise<undefined>((resolve) => setImmediate(resolve, undefined));
    return Promise.race([this.#endLoop(), turn]).then((end) => {
      const hasMore = end !== undefined || (!this.#finished && this.#keptBytes > 0);
      this.#isDraining = false;
      this.close();
      return isLost || hasMore ? this.#context.lostTail() : undefined;
    });
  }

  close(): void {
    if (this.#isDraining) return;
    this.#context.close();
    if (this.#iterator === undefined || this.#finished) return;
    this.#finished = true;
    this.#emit = () => undefined;
    this.#source.fail();
    // A generator that waits for a chunk ends by itself. One that waits for something else may never end.
    endIteration(this.#iterator);
  }

  async #endLoop(): Promise<StageEnd | undefined> {
    this.#source.end();
    return await this.#running;
  }

  #start(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#loop();
    // The loop's input stays counted until the loop ends, even if its output is no longer needed.
    this.#context.lendUntil(this.#running);
  }

  async #untilHungry(hungry: Promise<undefined>): Promise<StageEnd | undefined> {
    return await Promise.race([hungry, this.#running]);
  }

  async #loop(): Promise<StageEnd | undefined> {
    try {
      const iterable = this.#handler.handle(
        withRoom(this.#source, this.#context),
        this.#context.tx as never,
      ) as AsyncIterable<unknown>;
      const iterator = iterable[Symbol.asyncIterator]();
      this.#iterator = iterator;
      for (let steps = 1; ; steps++) {
        const { done, value } = iteratorResult(await iterator.next());
        // After the transaction is over, an iterator without return() would go on for ever.
        if (done || this.#finished) return undefined;
        if (steps % STEPS_PER_TURN === 0) await nextTurn();
        const end = await this.#yielded(value);
        if (end === undefined) continue;
        this.close();
        return end;
      }
    } catch (cause) {
      return this.#finished ? undefined : this.#context.threw(cause);
    } finally {
      this.#finished = true;
    }
  }

  async #yielded(value: unknown): Promise<StageEnd | undefined> {
    if (this.#finished) return undefined;
    if (value instanceof Uint8Array) this.#keptBytes -= value.length;
    if (value instanceof Uint8Array) return value.length > 0 ? await this.#emit(plainBytes(value)) : undefined;
    return this.#context.fold(value, `${this.#phase}End`) ?? (await emitTail(this.#context, this.#emit));
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

type Next = IteratorResult<BodyBytes, undefined>;

/** The chunks that a handler loops over, one at a time. */
class ChunkSource implements AsyncIterable<BodyBytes>, AsyncIterator<BodyBytes, undefined> {
  #chunk: BodyBytes | undefined;
  #isOver = false;
  #failed = false;
  #wanted: ((next: Next) => void) | undefined;
  #refuse: ((cause: unknown) => void) | undefined;
  #hungry: ((nothing: undefined) => void) | undefined;

  [Symbol.asyncIterator](): AsyncIterator<BodyBytes, undefined> {
    return this;
  }

  next(): Promise<Next> {
    const chunk = this.#chunk;
    if (chunk !== undefined) {
      this.#chunk = undefined;
      return Promise.resolve({ done: false, value: chunk });
    }
    this.#hungry?.(undefined);
    this.#hungry = undefined;
    if (this.#failed) return endedEarly();
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    const next = new Promise<Next>((resolve, reject) => {
      this.#wanted = resolve;
      this.#refuse = reject;
    });
    // A handler that asks early may not await this promise when it rejects, and the rejection must not end the process.
    next.catch(() => undefined);
    return next;
  }

  return(): Promise<Next> {
    this.#isOver = true;
    this.#chunk = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Gives the handler a chunk. Resolves when the handler has finished it. */
  give(chunk: BodyBytes): Promise<undefined> {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted) wanted({ done: false, value: chunk });
    else this.#chunk = chunk;
    return new Promise((resolve) => {
      this.#hungry = resolve;
    });
  }

  /** The body has ended. */
  end(): void {
    this.#isOver = true;
    this.#wanted?.({ done: true, value: undefined });
    this.#wanted = undefined;
  }

  /** No more chunks come, although the body has not ended. */
  fail(): void {
    this.#failed = true;
    this.#refuse?.(new Error("the body has ended early"));
    this.#wanted = undefined;
  }
}

function endedEarly(): Promise<Next> {
  const failed = Promise.reject<Next>(new Error("the body has ended early"));
  failed.catch(() => undefined);
  return failed;
}

/**
 * Checks the result of an author's iterator, as `for await` does. A result that is not an object has no `done`, so a
 * loop over such results would never end.
 *
 * @throws TypeError If the result is not an object.
 */
export function iteratorResult(result: unknown): IteratorResult<unknown, unknown> {
  if ((typeof result === "object" && result !== null) || typeof result === "function")
    return result as IteratorResult<unknown, unknown>;
  throw new TypeError(`the iterator's next() returned ${nameKind(result)}, must be an object with done and value`);
}

/** Ends an author's iterator early, if it has a `return()`. The end is not awaited, and its failure is not reported. */
export function endIteration(iterator: AsyncIterator<unknown>): void {
  const end = async () => iterator.return?.();
  end().catch(() => undefined);
}
