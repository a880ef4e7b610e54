import type { DescService } from "@bufbuild/protobuf";
import type { Phase, PhaseMessages } from "../protocol/phase.ts";
import { nameKind } from "../text/value-kind.ts";
import {
  type BodyHandler,
  type GrpcHandlers,
  type HandlerResult,
  refuseBeside,
  refuseBodyHandler,
  refuseGrpcHandlers,
} from "./body-handler.ts";
import type { EditablePhase } from "./effect.ts";
import { type StandardSchema, validateConfig } from "./standard-schema.ts";
import type { Transaction, TransactionOutcome } from "./transaction.ts";

/** A handler of one phase. A promise is awaited only where it is one, so synchronous handlers stay synchronous. */
export type Handler<P extends Phase, S, C = undefined> = (
  message: PhaseMessages[P],
  tx: Transaction<S, C>,
) => HandlerResult<P>;

/** A handler for each phase that can have one; none means: pass. */
export type Handlers<S, C = undefined> = { readonly [P in EditablePhase]?: Handler<P, S, C> | undefined };

/**
 * What becomes of a transaction when the processor fails: the author's security decision.
 *
 * - `envoy`: the stream ends with a gRPC error, and Envoy's `failure_mode_allow` decides.
 * - `open`: the transaction passes unprocessed.
 * - `closed`: the client gets an error, whatever Envoy is configured to do.
 */
export type FaultPolicy = "envoy" | "open" | "closed";

/** Every fault policy. */
export const FAULT_POLICIES: readonly FaultPolicy[] = ["envoy", "open", "closed"];

/** A processor's `timeoutMs` where it names none: below the 200 ms after which Envoy gives up. */
export const DEFAULT_TIMEOUT_MS = 150;

/**
 * A processor, as an author writes it.
 *
 * @typeParam S Type of its state, inferred from `state`.
 * @typeParam C Type of its configuration, inferred from `config`.
 * @typeParam G Type of the gRPC service, inferred from `grpc`.
 */
export interface ProcessorDefinition<S, C = undefined, G extends DescService = DescService> extends Handlers<S, C> {
  /** For logs, metrics and faults: lower-case letters, digits, `-`, `_` and `.`, at most 64 of them. */
  readonly name: string;
  /** Makes the state of one HTTP transaction. Called once for each, before its first handler. Default: none. */
  readonly state?: (() => S) | undefined;
  /**
   * Schema of `tx.config`, which a route gives as JSON in the gRPC initial metadata `x-ext-proc-config`: keyed by the name
   * of the processor, `{"tenant": {"limit": 7}}`, which is always accepted, or plain, `{"limit": 7}`, while exactly one of
   * the processors that are served has a `config`. An object with a key that names a served processor is always the keyed
   * form: a property of that name must be written `{"tenant": {"tenant": 7}}`.
   *
   * The schema must take `undefined` too, for routes that give none, and must not be asynchronous. Default: none, and
   * `tx.config` is undefined.
   */
  readonly config?: StandardSchema<C> | undefined;
  /**
   * How long a handler may take, in milliseconds, from a message's delivery to its answer; then it is fault
   * `handler_timeout`. Default: 150. More than Envoy's own `message_timeout` needs the operator's declaration of
   * `maxMessageTimeoutMs`.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * What becomes of a transaction in which this processor fails. A stricter one that it is composed with has the say while
   * its handlers are at work, or may still be called. Default: `envoy`.
   */
  readonly onFault?: FaultPolicy | undefined;
  /**
   * Whether handlers of trailers and of responses may read `tx.request`. `false` declares that none of them does: then
   * `ext-proc check` recommends `request_header_mode: SKIP` if nothing else needs the request headers, which saves Envoy a
   * message for each request. Default: true.
   */
  readonly readsRequest?: boolean | undefined;
  /** Called once before the first transaction; until it is done the server is not ready. A rejection is retried. */
  readonly setup?: ((signal: AbortSignal) => void | Promise<void>) | undefined;
  /** Called once when a transaction is over in which a handler of this processor ran. What it throws is only logged. */
  readonly done?: ((tx: Transaction<S, C>, outcome: TransactionOutcome) => void) | undefined;
  /** Handles the body of a request. Default: it passes. */
  readonly requestBody?: BodyHandler<"requestBody", S, C> | undefined;
  /** Handles the body of a response. */
  readonly responseBody?: BodyHandler<"responseBody", S, C> | undefined;
  /** Handles the messages of a gRPC service, in place of a body handler of the same direction. */
  readonly grpc?: GrpcHandlers<G, S, C> | undefined;
  /** Called once when the server has ended. */
  readonly close?: (() => void | Promise<void>) | undefined;
}

/** Marks a value as a processor, whichever copy of this library made it. */
const PROCESSOR: unique symbol = Symbol.for("ext-proc.processor") as never;

/** A definition whose types are gone. */
export type AnyDefinition = ProcessorDefinition<unknown, unknown>;

/** A processor ready for use. What is inside is the library's: make one with {@link defineProcessor}. */
export interface Processor {
  readonly [PROCESSOR]: readonly AnyDefinition[];
  /** Its name; where it is composed, those of its parts with `+` between them. */
  readonly name: string;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** The longest time-out that a timer of Node's takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Says what is wrong with a property's value; undefined where it is fine. */
type Check = (value: unknown) => string | undefined;

const isFunction: Check = (value) =>
  typeof value === "function" ? undefined : `is ${kindOf(value)}, must be a function`;

const CHECKS: Readonly<Record<Exclude<keyof AnyDefinition, "name">, Check>> = {
  state: isFunction,
  config: (value) =>
    isSchema(value) ? undefined : `is ${kindOf(value)}, must be a Standard Schema (zod, valibot, arktype, …)`,
  timeoutMs: (value) =>
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_TIMEOUT_MS
      ? undefined
      : `is ${shown(value)}, must be a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`,
  onFault: (value) =>
    FAULT_POLICIES.some((policy) => policy === value)
      ? undefined
      : `is ${shown(value)}, must be one of ${FAULT_POLICIES.map((policy) => `"${policy}"`).join(", ")}`,
  readsRequest: (value) => (typeof value === "boolean" ? undefined : `is ${kindOf(value)}, must be true or false`),
  setup: isFunction,
  done: isFunction,
  close: isFunction,
  requestBody: refuseBodyHandler,
  responseBody: refuseBodyHandler,
  grpc: refuseGrpcHandlers,
  requestHeaders: isFunction,
  requestTrailers: isFunction,
  responseHeaders: isFunction,
  responseTrailers: isFunction,
};

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
 * @throws {TypeError} Where the name is malformed, a property is unknown or has a value that it cannot have.
 */
export function defineProcessor<S = undefined, C = undefined, G extends DescService = DescService>(
  definition: ProcessorDefinition<S, C, G>,
): Processor {
  if (typeof definition !== "object" || definition === null || Array.isArray(definition))
    throw new TypeError(`defineProcessor: its argument is ${nameKind(definition)}, must be an object`);
  const { name } = definition;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(
      `name: ${JSON.stringify(name)} is no processor name; use lower-case letters, digits, "-", "_" and "."`,
    );
  }
  for (const [property, value] of Object.entries(definition)) {
    if (property === "name") continue;
    if (!Object.hasOwn(CHECKS, property)) {
      const known = ["name", ...Object.keys(CHECKS)].join(", ");
      throw new TypeError(`${name}.${property}: no such property; a processor has ${known}`);
    }
    const problem = value === undefined ? undefined : CHECKS[property as keyof typeof CHECKS](value);
    if (problem !== undefined) throw new TypeError(`${name}.${property}: ${problem}`);
  }
  const twice = definition.grpc && refuseBeside(definition.grpc, definition);
  if (twice !== undefined) throw new TypeError(`${name}.grpc: ${twice}`);
  if (definition.config) refuseConfig(name, definition.config);
  return processorOf([definition as unknown as AnyDefinition]);
}

/** True for a processor of any copy of this library. */
export function isProcessor(value: unknown): value is Processor {
  return typeof value === "object" && value !== null && PROCESSOR in value;
}

/** What a processor is made of, in the order in which its parts see a request. */
export function definitionsOf(processor: Processor): readonly AnyDefinition[] {
  return processor[PROCESSOR];
}

/** A processor of several definitions. */
export function processorOf(definitions: readonly AnyDefinition[]): Processor {
  return { [PROCESSOR]: definitions, name: definitions.map(({ name }) => name).join("+") };
}

/** A route that gives no configuration must not fail each of its requests, so the schema has to take its absence. */
function refuseConfig(name: string, schema: StandardSchema): void {
  const result = validateConfig(schema, undefined);
  if (!("problem" in result)) return;
  throw new TypeError(
    `${name}.config: must take undefined, for routes without a configuration, and does not (${result.problem}); give it a default`,
    { cause: result.cause },
  );
}

function isSchema(value: unknown): boolean {
  // ArkType's schemas are functions.
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as Partial<StandardSchema>)["~standard"];
  return standard?.version === 1 && typeof standard.validate === "function";
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? JSON.stringify(value) : kindOf(value);
}

/**
 * Makes one processor of several. Each phase runs through all of them: in order on the request, in reverse on
 * the response. Each has its own state; their effects are joined in the order in which they ran, and the first
 * `immediateResponse` ends the transaction, so that nothing behind it runs.
 *
 * @throws {TypeError} Where an argument is no processor, there is none, or two of them have the same name.
 */
export function compose(...processors: readonly Processor[]): Processor {
  const stranger = processors.findIndex((processor) => !isProcessor(processor));
  if (stranger >= 0)
    throw new TypeError(`compose: argument ${stranger + 1} is no processor; make one with defineProcessor`);
  if (processors.length === 0) throw new TypeError("compose: needs at least one processor");
  const definitions = processors.flatMap(definitionsOf);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`compose: two processors are named "${twice}"; give one another name`);
  return processorOf(definitions);
}
