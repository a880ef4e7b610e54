import { iteratorResult } from "../processor/author-iterator.ts";
import type { AnyBodyHandler } from "../processor/body-handler.ts";
import { type AnyDefinition, definitionsOf, type Processor, processorOf } from "../processor/definition.ts";
import { isThenable } from "../text/value-kind.ts";

/** The time of a handler, for all its calls together. */
export interface HandlerTime {
  readonly processor: string;
  /** `requestHeaders`, `responseBody.chunk`, `grpc.say.request`, … */
  readonly handler: string;
  readonly calls: number;
  /** Milliseconds on the real clock, from call to settlement. The time includes waits for chunks of other handlers. */
  readonly durationMs: number;
}

/** A processor whose handlers are timed, for one transaction. */
export interface TimedProcessor {
  readonly processor: Processor;
  /** The times, in the order of the first calls. */
  times(): HandlerTime[];
}

const DIRECT_PHASES = ["requestHeaders", "requestTrailers", "responseHeaders", "responseTrailers"] as const;

type AnyFunction = (this: unknown, ...args: never[]) => unknown;
/** Returns the function that replaces a handler of this name. */
type Wrap = (handler: string, original: AnyFunction, owner: object) => AnyFunction;

/** A copy of a processor that times every call of a handler. */
export function timedProcessor(processor: Processor): TimedProcessor {
  const clocks = new Map<string, { processor: string; handler: string; calls: number; durationMs: number }>();
  const definitions = definitionsOf(processor).map((definition) => {
    const wrap: Wrap = (handler, original, owner) => {
      const count = (durationMs: number, calls: number) => {
        const key = `${definition.name}\n${handler}`;
        const clock = clocks.get(key) ?? { processor: definition.name, handler, calls: 0, durationMs: 0 };
        clocks.set(key, clock);
        clock.calls += calls;
        clock.durationMs += durationMs;
      };
      return (...args) => timed(() => original.apply(owner, args), count);
    };
    return timedDefinition(definition, wrap);
  });
  return { processor: processorOf(definitions), times: () => [...clocks.values()] };
}

function timed(call: () => unknown, count: (durationMs: number, calls: number) => void): unknown {
  const start = performance.now();
  let result: unknown;
  count(0, 1);
  try {
    result = call();
  } finally {
    count(performance.now() - start, 0);
  }
  const returned = performance.now();
  // The generator has not started yet.
  if (isAsyncIterable(result)) return timedIteration(result, (durationMs) => count(durationMs, 0));
  if (!isThenable(result)) return result;
  return Promise.resolve(result).finally(() => count(performance.now() - returned, 0));
}

async function* timedIteration(
  iterable: AsyncIterable<unknown>,
  count: (durationMs: number) => void,
): AsyncGenerator<unknown> {
  const iterator = iterable[Symbol.asyncIterator]();
  let isOver = false;
  try {
    while (true) {
      const start = performance.now();
      const next = iteratorResult(await awaited(iterator).finally(() => count(performance.now() - start)));
      isOver = Boolean(next.done);
      if (isOver) return;
      yield next.value;
    }
  } catch (error) {
    isOver = true;
    throw error;
  } finally {
    if (!isOver) await iterator.return?.();
  }
}

/** Calls `next()`, which an author can write so that it returns its result without a promise, or throws. */
async function awaited(iterator: AsyncIterator<unknown>): Promise<unknown> {
  return iterator.next();
}

function timedDefinition(definition: AnyDefinition, wrap: Wrap): AnyDefinition {
  const copy: Record<string, unknown> = { ...definition };
  for (const phase of DIRECT_PHASES) {
    const handler = definition[phase] as AnyFunction | undefined;
    if (handler) copy[phase] = wrap(phase, handler, definition);
  }
  for (const phase of ["requestBody", "responseBody"] as const) {
    const handler = definition[phase] as AnyBodyHandler | undefined;
    if (handler)
      copy[phase] = { ...handler, ...timedMethods(handler, ["when", "handle", "chunk", "end"], phase, wrap) };
  }
  const { grpc } = definition;
  if (grpc) {
    const methods = Object.entries(grpc.methods).map(([name, method]: [string, object | undefined]) => {
      const place = `grpc.${name}`;
      return [name, method && { ...method, ...timedMethods(method, ["request", "response"], place, wrap) }] as const;
    });
    copy.grpc = { ...grpc, methods: Object.fromEntries(methods) };
  }
  return copy as unknown as AnyDefinition;
}

function timedMethods(owner: object, names: readonly string[], place: string, wrap: Wrap): Record<string, AnyFunction> {
  const methods: Record<string, AnyFunction> = {};
  for (const name of names) {
    const method: unknown = Reflect.get(owner, name);
    if (typeof method === "function") methods[name] = wrap(`${place}.${name}`, method as AnyFunction, owner);
  }
  return methods;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
