import { plainBytes } from "../../bodies/owned-bytes.ts";
import { withRoom } from "../../bodies/split/held-bytes.ts";
import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { nameKind } from "../../text/value-kind.ts";
import type { BodyBytes, BodyStage, Emit, Soon, StageEnd } from "./body-stage.ts";
import { ByteLimit, emitTail, tailEmit } from "./chunk-stage.ts";
import type { StageHost } from "./stage-host.ts";

/** An iterator that waits for nothing lets the process read from its sockets after so many steps. */
const STEPS_PER_TURN = 1_000;

type StreamHandler = Extract<AnyBodyHandler, { read: "stream" }>;

/**
 * Runs a handler that loops over the chunks of a body. A chunk is done with once the handler asks for the next one; what
 * it yields until then takes the chunk's place.
 */
export class StreamStage implements BodyStage {
  readonly #host: StageHost;
  readonly #handler: StreamHandler;
  readonly #phase: BodyPhase;
  readonly #limit: ByteLimit;
  readonly #source = new ChunkSource();
  #iterator: AsyncIterator<unknown> | undefined;
  #running: Promise<StageEnd | undefined> | undefined;
  #finished = false;
  /** Nobody waits for it any more, but for what it has left. */
  #isDraining = false;
  /** Bytes given to the handler, and not yielded by it. */
  #keptBytes = 0;
  #emit: Emit = () => undefined;

  constructor(host: StageHost, handler: StreamHandler, phase: BodyPhase) {
    this.#host = host;
    this.#handler = handler;
    this.#phase = phase;
    this.#limit = new ByteLimit(host, handler);
  }

  /** The handler decides what becomes of what it took: nobody knows whether it is all out. */
  get withholds(): boolean {
    return this.#running !== undefined;
  }

  async push(piece: BodyBytes, emit: Emit): Promise<StageEnd | undefined> {
    if (piece.length === 0 || (this.#finished && !this.#limit.exceeded)) return undefined;
    this.#emit = emit;
    const excess = this.#limit.take(piece.length);
    if (excess === "pass") return (await this.#endLoop()) ?? emit(piece);
    if (excess !== undefined) return excess;
    this.#host.changed();
    this.#host.pending();
    this.#keptBytes += piece.length;
    this.#start();
    const end = await this.#untilHungry(this.#source.give(piece));
    this.#host.repay(piece.length);
    return end;
  }

  async end(emit: Emit, complete: boolean): Promise<StageEnd | undefined> {
    if (this.#running === undefined) return undefined;
    this.#emit = tailEmit(this.#host, emit, complete);
    this.#host.pending();
    return await this.#endLoop();
  }

  /**
   * Lets the loop come to its end, to see whether it yields anything there. A loop that waits for something else than
   * chunks is closed; it has something left if it was given more bytes than it yielded.
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
      return isLost || hasMore ? this.#host.lostTail() : undefined;
    });
  }

  close(): void {
    if (this.#isDraining) return;
    this.#host.close();
    if (this.#iterator === undefined || this.#finished) return;
    this.#finished = true;
    this.#emit = () => undefined;
    this.#source.fail();
    // A generator that waits for a chunk ends by itself; one that waits for something else may never.
    endIteration(this.#iterator);
  }

  async #endLoop(): Promise<StageEnd | undefined> {
    this.#source.end();
    return await this.#running;
  }

  #start(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#loop();
    // What the loop was given stays counted until it ends, also if nobody waits for it any more.
    this.#host.lendUntil(this.#running);
  }

  async #untilHungry(hungry: Promise<undefined>): Promise<StageEnd | undefined> {
    return await Promise.race([hungry, this.#running]);
  }

  async #loop(): Promise<StageEnd | undefined> {
    try {
      const iterable = this.#handler.handle(
        withRoom(this.#source, this.#host),
        this.#host.tx as never,
      ) as AsyncIterable<unknown>;
      const iterator = iterable[Symbol.asyncIterator]();
      this.#iterator = iterator;
      for (let steps = 1; ; steps++) {
        const { done, value } = iteratorResult(await iterator.next());
        // Once the transaction is over, an iterator without return() would go on for ever.
        if (done || this.#finished) return undefined;
        if (steps % STEPS_PER_TURN === 0) await nextTurn();
        const end = await this.#yielded(value);
        if (end === undefined) continue;
        this.close();
        return end;
      }
    } catch (cause) {
      return this.#finished ? undefined : this.#host.threw(cause);
    } finally {
      this.#finished = true;
    }
  }

  async #yielded(value: unknown): Promise<StageEnd | undefined> {
    if (this.#finished) return undefined;
    if (value instanceof Uint8Array) this.#keptBytes -= value.length;
    if (value instanceof Uint8Array) return value.length > 0 ? await this.#emit(plainBytes(value)) : undefined;
    return this.#host.fold(value, `${this.#phase}End`) ?? (await emitTail(this.#host, this.#emit));
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
    // Whoever asks ahead may not be waiting for it when it fails, and that must not end the process.
    next.catch(() => undefined);
    return next;
  }

  return(): Promise<Next> {
    this.#isOver = true;
    this.#chunk = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Hands a chunk over. Resolves once it is done with. */
  give(chunk: BodyBytes): Promise<undefined> {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted) wanted({ done: false, value: chunk });
    else this.#chunk = chunk;
    return new Promise((resolve) => {
      this.#hungry = resolve;
    });
  }

  /** Nothing more comes. */
  end(): void {
    this.#isOver = true;
    this.#wanted?.({ done: true, value: undefined });
    this.#wanted = undefined;
  }

  /** Nothing more comes, though it is not the end. */
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
 * What an author's iterator gave, checked as `for await` checks it: a result that is not an object has no `done`, so a loop
 * over such results never ends.
 *
 * @throws TypeError If the result is not an object.
 */
export function iteratorResult(result: unknown): IteratorResult<unknown, unknown> {
  if ((typeof result === "object" && result !== null) || typeof result === "function")
    return result as IteratorResult<unknown, unknown>;
  throw new TypeError(`the iterator's next() gave ${nameKind(result)}, must be an object with done and value`);
}

/** Ends an author's iterator early, if it has a way to end. Nothing waits for the end, and its failure is not reported. */
export function endIteration(iterator: AsyncIterator<unknown>): void {
  const end = async () => iterator.return?.();
  end().catch(() => undefined);
}
