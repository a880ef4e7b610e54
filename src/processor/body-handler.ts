import type { DescService, MessageShape } from "@bufbuild/protobuf";
import { type BodyPhase, DIRECTIONS, type Phase } from "../protocol/phase.ts";
import type { Effect, EffectPlace } from "./effect.ts";
import type { Transaction } from "./transaction.ts";

/** The maximum body size if a handler that holds the body does not set one. */
export const DEFAULT_MAX_BYTES = 4 << 20;

/** What a handler returns: an effect, several in order, or nothing, which lets the message pass unchanged. */
export type Effects<P extends EffectPlace = Phase> = Effect<P> | readonly Effect<P>[] | undefined;

/** What a handler returns, or a promise of it. */
export type ReturnedEffects<P extends EffectPlace> = Effects<P> | void | Promise<Effects<P>> | Promise<void>;

/** Bytes for a handler. They belong to the handler, which may keep and change them. */
type Bytes = Uint8Array<ArrayBuffer>;

/** Which bodies a handler wants, and what happens with larger ones. */
export interface BodyOptions<S, C> {
  /**
   * Called after the headers came. If it returns false or undefined, the body passes unseen. Default: true for every
   * body.
   */
  readonly when?: ((tx: Transaction<S, C>) => boolean | undefined) | undefined;
  /**
   * The maximum size of a body, in bytes as the handler sees them. Default: 4 MiB for `whole`, `text` and `json`,
   * because the server holds such a body; no limit for the other kinds.
   */
  readonly maxBytes?: number | undefined;
  /**
   * What happens with a body that is larger than `maxBytes`, than Envoy buffers in BUFFERED_PARTIAL, or than its
   * transaction or the server may hold. `reject` is a `body_too_large` fault (413 for a request) or a
   * `body_memory_exceeded` fault (503), whatever the fault policy is. `pass` lets the body pass unseen. Default:
   * `reject`.
   */
  readonly overLimit?: "reject" | "pass" | undefined;
  /**
   * `decoded`: without its `content-encoding`, which is applied again afterwards. `raw`: as it is sent. Default:
   * `decoded`.
   */
  readonly encoding?: "decoded" | "raw" | undefined;
  /**
   * True: if Envoy does not send the body, that is a `body_required_unseen` fault. Default: false, which lets the body
   * pass and counts it.
   */
  readonly required?: boolean | undefined;
}

/** A complete body. */
export interface WholeBody {
  readonly bytes: Bytes;
  /**
   * False if the bytes are only the beginning: in BUFFERED_PARTIAL, above what Envoy buffers. The rest passes unseen.
   */
  readonly complete: boolean;
}

/** A handler of a body. `read` says how much of the body it needs at once. */
export type BodyHandler<P extends BodyPhase, S, C = undefined> = BodyOptions<S, C> & BodyReader<P, S, C>;

type BodyReader<P extends BodyPhase, S, C> =
  | {
      /** The whole body as bytes. */
      readonly read: "whole";
      handle(body: WholeBody, tx: Transaction<S, C>): ReturnedEffects<P>;
    }
  | {
      /**
       * The whole body as text, decoded with the charset in `content-type`, without its byte order mark. Default:
       * UTF-8. Bytes that are not valid in the charset are a `body_undecodable` fault.
       */
      readonly read: "text";
      handle(text: string, tx: Transaction<S, C>): ReturnedEffects<P>;
    }
  | {
      /** The whole body as JSON, decoded like `text`. A body that is not JSON is a `body_not_json` fault. */
      readonly read: "json";
      handle(value: unknown, tx: Transaction<S, C>): ReturnedEffects<P>;
    }
  | {
      /** Each chunk as it comes; no chunk is empty. Return nothing to keep a chunk, an empty array to drop it. */
      readonly read: "chunks";
      chunk(
        bytes: Bytes,
        tx: Transaction<S, C>,
      ): Uint8Array | undefined | void | Promise<Uint8Array | undefined> | Promise<void>;
      end?(tx: Transaction<S, C>): ReturnedEffects<`${P}End`>;
    }
  | {
      /** The chunks in a loop. What the handler yields replaces them. */
      readonly read: "stream";
      handle(chunks: AsyncIterable<Bytes>, tx: Transaction<S, C>): AsyncIterable<Uint8Array | Effect<`${P}End`>>;
    }
  | {
      /** Each chunk, only to read it: the body does not change. */
      readonly read: "inspect";
      /**
       * The handler also sees the bytes of a tunnel: of an upgrade (101, such as a WebSocket) and of CONNECT, in both
       * directions. Default: false, because they are not a body.
       */
      readonly upgrades?: boolean | undefined;
      chunk?(bytes: Bytes, tx: Transaction<S, C>): void | Promise<void>;
      end?(tx: Transaction<S, C>): ReturnedEffects<"inspectEnd">;
    };

/** The handlers of a method. Each returns the message, an effect, or nothing, which keeps the message. */
interface GrpcMethodHandlers<I, O, S, C> {
  request?(message: I, tx: Transaction<S, C>): GrpcResult<I, "requestBody">;
  response?(message: O, tx: Transaction<S, C>): GrpcResult<O, "responseBody">;
}

type GrpcResult<M, P extends BodyPhase> =
  | M
  | Effect<P>
  | undefined
  | void
  | Promise<M | Effect<P> | undefined>
  | Promise<void>;

/**
 * Handlers of gRPC messages, one message at a time, typed by method. Calls of other services and methods pass unseen.
 */
export interface GrpcHandlers<G extends DescService, S, C = undefined> {
  /** The service, as protobuf-es generates it. */
  readonly service: G;
  readonly methods: {
    readonly [K in keyof G["method"]]?: GrpcMethodHandlers<
      MessageShape<G["method"][K]["input"]>,
      MessageShape<G["method"][K]["output"]>,
      S,
      C
    >;
  };
  /** The maximum size of a message, in bytes. Default: 4 MiB. */
  readonly maxBytes?: number | undefined;
  /** The same as for body handlers. */
  readonly required?: boolean | undefined;
}

/** A body handler without its types. */
export type AnyBodyHandler = BodyHandler<BodyPhase, unknown, unknown>;

/** The properties that every body handler may have, with the check of each. */
const OPTIONS: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  when: (value) => (typeof value === "function" ? undefined : "must be a function"),
  maxBytes: (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : "must be a whole number of bytes, 0 or more",
  overLimit: (value) => (value === "reject" || value === "pass" ? undefined : 'must be "reject" or "pass"'),
  encoding: (value) => (value === "decoded" || value === "raw" ? undefined : 'must be "decoded" or "raw"'),
  required: (value) => (typeof value === "boolean" ? undefined : "must be true or false"),
};

/** The additional properties of one kind of handler. */
const OPTIONS_OF: Readonly<Record<string, typeof OPTIONS>> = {
  inspect: { upgrades: (value) => (typeof value === "boolean" ? undefined : "must be true or false") },
};

/** The functions of each kind of handler, and whether they are required. */
const FUNCTIONS: Readonly<Record<string, readonly { readonly name: string; readonly required: boolean }[]>> = {
  whole: [{ name: "handle", required: true }],
  text: [{ name: "handle", required: true }],
  json: [{ name: "handle", required: true }],
  stream: [{ name: "handle", required: true }],
  chunks: [
    { name: "chunk", required: true },
    { name: "end", required: false },
  ],
  inspect: [
    { name: "chunk", required: false },
    { name: "end", required: false },
  ],
};

/** Says what is wrong with a body handler; undefined if it is valid. */
export function refuseBodyHandler(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return 'must be an object such as { read: "whole", handle() {} }';
  const handler = value as Readonly<Record<string, unknown>>;
  const { read } = handler;
  const kinds = Object.keys(FUNCTIONS).map((kind) => `"${kind}"`);
  if (typeof read !== "string" || !Object.hasOwn(FUNCTIONS, read)) return `read must be one of ${kinds.join(", ")}`;
  const functions = FUNCTIONS[read] ?? [];
  const options = { ...OPTIONS, ...OPTIONS_OF[read] };
  for (const [property, given] of Object.entries(handler)) {
    if (property === "read" || given === undefined) continue;
    if (functions.some(({ name }) => name === property)) {
      if (typeof given !== "function") return `${property} must be a function`;
      continue;
    }
    const check = Object.hasOwn(options, property) ? options[property] : undefined;
    const known = ["read", ...functions.map(({ name }) => name), ...Object.keys(options)].join(", ");
    const problem = check ? check(given) : `is not a property of a handler that reads "${read}", which has ${known}`;
    if (problem !== undefined) return `${property} ${problem}`;
  }
  const missing = functions.find(({ name, required }) => required && handler[name] === undefined);
  return missing && `a handler that reads "${read}" needs ${missing.name}()`;
}

/** Says what is wrong with the handlers of a gRPC service; undefined if they are valid. */
export function refuseGrpcHandlers(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "must be an object such as { service, methods }";
  const { service, methods, maxBytes, required, ...others } = value as Readonly<Record<string, unknown>>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return `${unknown} is not a property; properties are service, methods, maxBytes, required`;
  for (const [property, given] of Object.entries({ maxBytes, required })) {
    const problem = given === undefined ? undefined : OPTIONS[property]?.(given);
    if (problem !== undefined) return `${property} ${problem}`;
  }
  if (!isService(service)) return "service must be a service as protobuf-es generates it";
  if (typeof methods !== "object" || methods === null) return "methods must be an object";
  for (const [name, handlers] of Object.entries(methods as Readonly<Record<string, unknown>>)) {
    const problem = Object.hasOwn(service.method, name)
      ? refuseMethodHandlers(handlers)
      : `is not a method; methods are ${Object.keys(service.method).join(", ")}`;
    if (problem !== undefined) return `methods.${name} ${problem}`;
  }
  return undefined;
}

/** Says which body handler conflicts with `grpc`; undefined if none does. */
export function refuseWithGrpc(
  { methods }: { readonly methods: object },
  bodies: { readonly requestBody?: unknown; readonly responseBody?: unknown },
): string | undefined {
  const handlers: readonly object[] = Object.values(methods);
  for (const direction of DIRECTIONS) {
    if (bodies[`${direction}Body`] !== undefined && handlers.some((method) => direction in method))
      return `handles ${direction} messages, and ${direction}Body does too: use one of them`;
  }
  return undefined;
}

function refuseMethodHandlers(handlers: unknown): string | undefined {
  if (typeof handlers !== "object" || handlers === null) return "must be an object such as { request() {} }";
  for (const [direction, handler] of Object.entries(handlers)) {
    if (direction !== "request" && direction !== "response") return `has no ${direction}, only request and response`;
    if (handler !== undefined && typeof handler !== "function") return `${direction} must be a function`;
  }
  return undefined;
}

function isService(value: unknown): value is { readonly method: object } {
  return (
    typeof value === "object" && value !== null && "kind" in value && value.kind === "service" && "method" in value
  );
}
