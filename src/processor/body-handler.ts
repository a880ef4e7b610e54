import type { DescService, MessageShape } from "@bufbuild/protobuf";
import { type BodyPhase, DIRECTIONS, type Phase } from "../protocol/phase.ts";
import type { Effect, EffectPlace } from "./effect.ts";
import type { Transaction } from "./transaction.ts";

/** What a body is held up to where its handler does not say. */
export const DEFAULT_MAX_BYTES = 4 << 20;

/** What a handler returns: an effect, several in order, or nothing, which lets the message pass unchanged. */
export type Outcome<P extends EffectPlace = Phase> = Effect<P> | readonly Effect<P>[] | undefined;

/** The same, sooner or later. */
export type HandlerResult<P extends EffectPlace> = Outcome<P> | void | Promise<Outcome<P>> | Promise<void>;

/** Bytes given to a handler: its own, to keep and to change. */
type Bytes = Uint8Array<ArrayBuffer>;

/** How much of a body a handler needs, and what if it is more. */
export interface BodyOptions<S, C> {
  /** Asked once the headers are there. False or undefined: the body passes unseen. Default: true for every body. */
  readonly when?: ((tx: Transaction<S, C>) => boolean | undefined) | undefined;
  /**
   * Largest body, in bytes as the handler sees them. Default: 4 MiB for `whole`, `text` and `json`, since they are held;
   * none for the others.
   */
  readonly maxBytes?: number | undefined;
  /**
   * What becomes of a body above `maxBytes`, above what Envoy buffers in BUFFERED_PARTIAL, or above what its transaction
   * or the server may hold: `reject` is fault `body_too_large`, a 413 for a request, or `body_memory_exceeded`, a 503,
   * whatever the fault policy; `pass` lets it go on unseen. Default: `reject`.
   */
  readonly overLimit?: "reject" | "pass" | undefined;
  /**
   * `decoded`: without its `content-encoding`, which is put on again afterwards. `raw`: as it is on the wire.
   * Default: `decoded`.
   */
  readonly encoding?: "decoded" | "raw" | undefined;
  /** Fault `body_required_unseen` where Envoy does not send the body. Default: false, which lets it pass, and counts it. */
  readonly required?: boolean | undefined;
}

/** A body that is all there. */
export interface WholeBody {
  readonly bytes: Bytes;
  /** False where it is only the beginning: BUFFERED_PARTIAL, above what Envoy buffers. The rest passes unseen. */
  readonly complete: boolean;
}

/** A handler of a body, by how much of it is needed at once. */
export type BodyHandler<P extends BodyPhase, S, C = undefined> = BodyOptions<S, C> & BodyReader<P, S, C>;

type BodyReader<P extends BodyPhase, S, C> =
  | {
      /** The whole body as bytes. */
      readonly read: "whole";
      handle(body: WholeBody, tx: Transaction<S, C>): HandlerResult<P>;
    }
  | {
      /**
       * The whole body as text, read in the charset that `content-type` names, without its byte order mark. Default: UTF-8.
       * Fault `body_undecodable` if the bytes do not fit the charset.
       */
      readonly read: "text";
      handle(text: string, tx: Transaction<S, C>): HandlerResult<P>;
    }
  | {
      /**
       * The whole body as JSON, its text read as for `text`. Fault `body_not_json` if it is not JSON.
       */
      readonly read: "json";
      handle(value: unknown, tx: Transaction<S, C>): HandlerResult<P>;
    }
  | {
      /** Each chunk as it comes; no chunk is empty. Nothing returned leaves it, an empty array drops it. */
      readonly read: "chunks";
      chunk(
        bytes: Bytes,
        tx: Transaction<S, C>,
      ): Uint8Array | undefined | void | Promise<Uint8Array | undefined> | Promise<void>;
      end?(tx: Transaction<S, C>): HandlerResult<`${P}End`>;
    }
  | {
      /** The chunks in a loop; what is yielded takes their place. */
      readonly read: "stream";
      handle(chunks: AsyncIterable<Bytes>, tx: Transaction<S, C>): AsyncIterable<Uint8Array | Effect<`${P}End`>>;
    }
  | {
      /** Each chunk, to look at it: the body stays as it is. */
      readonly read: "inspect";
      /**
       * The handler also sees the bytes of a tunnel: of an upgrade (101, such as a WebSocket), and of CONNECT, in both
       * directions. Default: false, since they are not a body.
       */
      readonly upgrades?: boolean | undefined;
      chunk?(bytes: Bytes, tx: Transaction<S, C>): void | Promise<void>;
      end?(tx: Transaction<S, C>): HandlerResult<"inspectEnd">;
    };

/** A method's handlers: each returns the message, an effect, or nothing, which leaves the message. */
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

/** Handlers of gRPC messages, one by one, typed by method. Calls of other services and methods pass unseen. */
export interface GrpcHandlers<G extends DescService, S, C = undefined> {
  /** As generated by protobuf-es. */
  readonly service: G;
  readonly methods: {
    readonly [K in keyof G["method"]]?: GrpcMethodHandlers<
      MessageShape<G["method"][K]["input"]>,
      MessageShape<G["method"][K]["output"]>,
      S,
      C
    >;
  };
  /** Largest message, in bytes. Default: 4 MiB. */
  readonly maxBytes?: number | undefined;
  /** As for body handlers. */
  readonly required?: boolean | undefined;
}

/** A body handler whose types are gone. */
export type AnyBodyHandler = BodyHandler<BodyPhase, unknown, unknown>;

/** The properties that every body handler may have, and the check of each. */
const OPTIONS: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  when: (value) => (typeof value === "function" ? undefined : "must be a function"),
  maxBytes: (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : "must be a whole number of bytes, 0 or more",
  overLimit: (value) => (value === "reject" || value === "pass" ? undefined : 'must be "reject" or "pass"'),
  encoding: (value) => (value === "decoded" || value === "raw" ? undefined : 'must be "decoded" or "raw"'),
  required: (value) => (typeof value === "boolean" ? undefined : "must be true or false"),
};

/** The properties that handlers of one kind may have besides. */
const OPTIONS_OF: Readonly<Record<string, typeof OPTIONS>> = {
  inspect: { upgrades: (value) => (typeof value === "boolean" ? undefined : "must be true or false") },
};

/** The functions of each kind of handler, and which of them it must have. */
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

/** Says what is wrong with a body handler; undefined where it is fine. */
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
    const problem = check ? check(given) : `is no property of a handler that reads "${read}", which has ${known}`;
    if (problem !== undefined) return `${property} ${problem}`;
  }
  const missing = functions.find(({ name, required }) => required && handler[name] === undefined);
  return missing && `a handler that reads "${read}" needs ${missing.name}()`;
}

/** Says what is wrong with the handlers of a gRPC service; undefined where they are fine. */
export function refuseGrpcHandlers(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "must be an object such as { service, methods }";
  const { service, methods, maxBytes, required, ...others } = value as Readonly<Record<string, unknown>>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return `${unknown} is no property; there are service, methods, maxBytes, required`;
  for (const [property, given] of Object.entries({ maxBytes, required })) {
    const problem = given === undefined ? undefined : OPTIONS[property]?.(given);
    if (problem !== undefined) return `${property} ${problem}`;
  }
  if (!isService(service)) return "service must be a service as protobuf-es generates it";
  if (typeof methods !== "object" || methods === null) return "methods must be an object";
  for (const [name, handlers] of Object.entries(methods as Readonly<Record<string, unknown>>)) {
    const problem = Object.hasOwn(service.method, name)
      ? refuseMethodHandlers(handlers)
      : `is no method; there are ${Object.keys(service.method).join(", ")}`;
    if (problem !== undefined) return `methods.${name} ${problem}`;
  }
  return undefined;
}

/** Says which body handler is one too many beside `grpc`; undefined where there is none. */
export function refuseBeside(
  { methods }: { readonly methods: object },
  bodies: { readonly requestBody?: unknown; readonly responseBody?: unknown },
): string | undefined {
  const handlers: readonly object[] = Object.values(methods);
  for (const direction of DIRECTIONS) {
    if (bodies[`${direction}Body`] !== undefined && handlers.some((method) => direction in method))
      return `handles ${direction} messages, and ${direction}Body is there too: use one of them`;
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
