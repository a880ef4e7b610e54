import type { DescService } from "@bufbuild/protobuf";
import type { Phase, PhaseMessages } from "../protocol/phase.ts";
import { nameKind } from "../text/value-kind.ts";
import {
  type BodyHandler,
  type GrpcHandlers,
  type ReturnedEffects,
  refuseBodyHandler,
  refuseGrpcHandlers,
  refuseWithGrpc,
} from "./body-handler.ts";
import type { EditablePhase } from "./effect.ts";
import { type StandardSchema, validateConfig } from "./standard-schema.ts";
import type { Transaction, TransactionEnd } from "./transaction.ts";

/** A handler of one phase. Only a promise is awaited, so synchronous handlers stay synchronous. */
export type Handler<P extends Phase, S, C = undefined> = (
  message: PhaseMessages[P],
  tx: Transaction<S, C>,
) => ReturnedEffects<P>;

/** A handler for each phase that can have one. A phase without a handler passes. */
export type Handlers<S, C = undefined> = { readonly [P in EditablePhase]?: Handler<P, S, C> | undefined };

/**
 * What happens to a transaction when the processor fails. This is the author's security decision.
 *
 * - `envoy`: the stream ends with a gRPC error, and Envoy's `failure_mode_allow` decides.
 * - `open`: the transaction passes unprocessed.
 * - `closed`: the client gets an error, whatever Envoy's configuration says.
 */
export type FaultPolicy = "envoy" | "open" | "closed";

/** Every fault policy. */
export const FAULT_POLICIES: readonly FaultPolicy[] = ["envoy", "open", "closed"];

/** A processor's default `timeoutMs`. It is below the 200 ms after which Envoy gives up. */
export const DEFAULT_TIMEOUT_MS = 150;

/**
 * The object from which an author makes a processor.
 *
 * @typeParam S Type of its state, inferred from `state`.
 * @typeParam C Type of its configuration, inferred from `config`.
 * @typeParam G Type of the gRPC service, inferred from `grpc`.
 */
export interface ProcessorDefinition<S, C = undefined, G extends DescService = DescService> extends Handlers<S, C> {
  /** For logs, metrics and faults: lower-case letters, digits, `-`, `_` and `.`, at most 64 of them. */
  readonly name: string;
  /**
   * Makes the state of one HTTP transaction. Called once per transaction, before its first handler. Default: no state.
   */
  readonly state?: (() => S) | undefined;
  /**
   * Schema of `tx.config`, which a route gives as JSON in the gRPC initial metadata `x-ext-proc-config`. The JSON has
   * one of two forms. The keyed form has the name of the processor as a key, `{"tenant": {"limit": 7}}`, and is always
   * accepted. The plain form, `{"limit": 7}`, is accepted while exactly one of the served processors has a `config`. An
   * object with a key that names a served processor always has the keyed form: write a property with such a name as
   * `{"tenant": {"tenant": 7}}`.
   *
   * The schema must accept `undefined` too, for routes without a configuration, and must not be asynchronous. Default:
   * no schema, and `tx.config` is undefined.
   */
  readonly config?: StandardSchema<C> | undefined;
  /**
   * How long a handler may take, in milliseconds, from the delivery of a message to its answer. After that it is a
   * `handler_timeout` fault. Default: 150. A value above Envoy's `message_timeout` needs a declared
   * `maxMessageTimeoutMs`.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * What happens to a transaction in which this processor fails. If it is composed with a processor with a stricter
   * policy, the stricter policy applies while handlers of that processor run or may still be called. Default: `envoy`.
   */
  readonly onFault?: FaultPolicy | undefined;
  /**
   * Whether handlers of trailers and of responses may read `tx.request`. `false` declares that none of them does. Then
   * `ext-proc check` recommends `request_header_mode: SKIP` if nothing else needs the request headers, which saves
   * Envoy one message per request. Default: true.
   */
  readonly readsRequest?: boolean | undefined;
  /**
   * Called once before the first transaction. The server is not ready until it is done. If it fails, it is called
   * again.
   */
  readonly setup?: ((signal: AbortSignal) => void | Promise<void>) | undefined;
  /** Called once at the end of a transaction in which a handler of this processor ran. An exception is only logged. */
  readonly done?: ((tx: Transaction<S, C>, end: TransactionEnd) => void) | undefined;
  /** Handles the body of a request. Default: the body passes. */
  readonly requestBody?: BodyHandler<"requestBody", S, C> | undefined;
  /** Handles the body of a response. Default: the body passes. */
  readonly responseBody?: BodyHandler<"responseBody", S, C> | undefined;
  /** Handles the messages of a gRPC service, instead of a body handler of the same direction. */
  readonly grpc?: GrpcHandlers<G, S, C> | undefined;
  /** Called once when the server has ended. */
  readonly close?: (() => void | Promise<void>) | undefined;
}

/** Marks a value as a processor of any copy of this library. */
const PROCESSOR: unique symbol = Symbol.for("ext-proc.processor") as never;

/** A definition without its types. */
export type AnyDefinition = ProcessorDefinition<unknown, unknown>;

/** A processor that is ready for use. Its contents are internal: make one with {@link defineProcessor}. */
export interface Processor {
  readonly [PROCESSOR]: readonly AnyDefinition[];
  /** Its name. The name of a composed processor consists of the names of its parts with `+` between them. */
  readonly name: string;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** The longest timeout that Node's timers accept. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Says what is wrong with a property's value; undefined if it is valid. */
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
 * Defines a processor from pure functions over Envoy's messages, one for each phase that it handles.
 *
 * @example
 * ```ts
 * export default defineProcessor({
 *   name: "greeter",
 *   requestHeaders: (headers) => setHeader("x-greeting", `hello ${header(headers, "x-user") ?? "stranger"}`),
 * });
 * ```
 * @throws {TypeError} If the name is malformed, or a property is unknown or has an invalid value.
 */
export function defineProcessor<S = undefined, C = undefined, G extends DescService = DescService>(
  definition: ProcessorDefinition<S, C, G>,
): Processor {
  if (typeof definition !== "object" || definition === null || Array.isArray(definition))
    throw new TypeError(`defineProcessor: its argument is ${nameKind(definition)}, must be an object`);
  const { name } = definition;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(
      `name: ${JSON.stringify(name)} is not a processor name; use lower-case letters, digits, "-", "_" and "."`,
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
  const twice = definition.grpc && refuseWithGrpc(definition.grpc, definition);
  if (twice !== undefined) throw new TypeError(`${name}.grpc: ${twice}`);
  if (definition.config) refuseConfig(name, definition.config);
  return processorOf([definition as unknown as AnyDefinition]);
}

/** True for a processor of any copy of this library. */
export function isProcessor(value: unknown): value is Processor {
  return typeof value === "object" && value !== null && PROCESSOR in value;
}

/** Returns the definitions of a processor, in the order in which they see a request. */
export function definitionsOf(processor: Processor): readonly AnyDefinition[] {
  return processor[PROCESSOR];
}

/** Makes a processor of several definitions. */
export function processorOf(definitions: readonly AnyDefinition[]): Processor {
  return { [PROCESSOR]: definitions, name: definitions.map(({ name }) => name).join("+") };
}

/** A route without a configuration must not fail each of its requests, so the schema must accept `undefined`. */
function refuseConfig(name: string, schema: StandardSchema): void {
  const result = validateConfig(schema, undefined);
  if (!("problem" in result)) return;
  throw new TypeError(
    `${name}.config: must accept undefined, for routes without a configuration, and does not (${result.problem}); give it a default`,
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
 * Combines several processors into one. Each phase runs through all of them: in order on the request, in reverse on the
 * response. Each has its own state. Their effects are joined in the order in which they ran. The first
 * `immediateResponse` ends the transaction, so that no later handler runs.
 *
 * @throws {TypeError} If an argument is not a processor, there is none, or two of them have the same name.
 */
export function compose(...processors: readonly Processor[]): Processor {
  const stranger = processors.findIndex((processor) => !isProcessor(processor));
  if (stranger >= 0)
    throw new TypeError(`compose: argument ${stranger + 1} is not a processor; make one with defineProcessor`);
  if (processors.length === 0) throw new TypeError("compose: needs at least one processor");
  const definitions = processors.flatMap(definitionsOf);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`compose: two processors are named "${twice}"; rename one of them`);
  return processorOf(definitions);
}
