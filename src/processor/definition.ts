import type { Phase, PhaseMessages } from "../protocol/phase.ts";
import type { EditablePhase, Effect } from "./effect.ts";
import type { Transaction } from "./transaction.ts";

/** What a handler returns: an effect, several in order, or nothing, which lets the message pass unchanged. */
export type Outcome<P extends Phase> = Effect<P> | readonly Effect<P>[] | undefined;

/** A handler of one phase. A promise is awaited only where it is one, so synchronous handlers stay synchronous. */
export type Handler<P extends Phase, S> = (message: PhaseMessages[P], tx: Transaction<S>) => HandlerResult<P>;

type HandlerResult<P extends Phase> = Outcome<P> | void | Promise<Outcome<P>> | Promise<void>;

/** A handler for each phase that can have one; none means: pass. */
export type Handlers<S> = { readonly [P in EditablePhase]?: Handler<P, S> | undefined };

/**
 * A processor, as an author writes it.
 *
 * @typeParam S Type of its state, inferred from `state`.
 */
export interface ProcessorDefinition<S> extends Handlers<S> {
  /** For logs, metrics and faults: lower-case letters, digits, `-`, `_` and `.`, at most 64 of them. */
  readonly name: string;
  /** Makes the state of one HTTP transaction. Called once for each, before its first handler. Default: none. */
  readonly state?: (() => S) | undefined;
}

/** Marks a value as a processor, whichever copy of this library made it. */
const PROCESSOR: unique symbol = Symbol.for("ext-proc.processor") as never;

/** A processor ready for use. What is inside is the library's: make one with {@link defineProcessor}. */
export interface Processor {
  readonly [PROCESSOR]: readonly ProcessorDefinition<unknown>[];
  readonly name: string;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const PROPERTIES: ReadonlySet<string> = new Set([
  "name",
  "state",
  "requestHeaders",
  "requestTrailers",
  "responseHeaders",
  "responseTrailers",
]);

/**
 * Defines a processor: pure functions over Envoy's messages, one for each phase it cares about.
 *
 * @example
 * ```ts
 * export default defineProcessor({
 *   name: "greeter",
 *   requestHeaders: (headers) => setHeader("x-greeting", `hello ${header(headers, "x-user") ?? "stranger"}`),
 * });
 * ```
 * @throws {TypeError} Where the name is malformed, a handler is no function, or a property is unknown.
 */
export function defineProcessor<S = undefined>(definition: ProcessorDefinition<S>): Processor {
  const { name } = definition;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(
      `name: ${JSON.stringify(name)} is no processor name; use lower-case letters, digits, "-", "_" and "."`,
    );
  }
  for (const [property, value] of Object.entries(definition)) {
    if (!PROPERTIES.has(property)) {
      throw new TypeError(`${name}.${property}: no such property; a processor has ${[...PROPERTIES].join(", ")}`);
    }
    if (property !== "name" && value !== undefined && typeof value !== "function") {
      throw new TypeError(`${name}.${property}: is ${typeof value}, must be a function`);
    }
  }
  return processorOf([definition as ProcessorDefinition<unknown>]);
}

/** True for a processor of any copy of this library. */
export function isProcessor(value: unknown): value is Processor {
  return typeof value === "object" && value !== null && PROCESSOR in value;
}

/** What a processor is made of, in the order in which its parts see a request. */
export function definitionsOf(processor: Processor): readonly ProcessorDefinition<unknown>[] {
  return processor[PROCESSOR];
}

/** A processor of several definitions. */
export function processorOf(definitions: readonly ProcessorDefinition<unknown>[]): Processor {
  return { [PROCESSOR]: definitions, name: definitions.map(({ name }) => name).join("+") };
}
