import type { DescService } from "@bufbuild/protobuf";
import type { BodyNeeds } from "../protocol/exchange/body-plan.ts";
import type { Direction } from "../protocol/phase.ts";
import type { AnyBodyHandler, GrpcHandlers } from "./body-handler.ts";
import type { AnyDefinition } from "./definition.ts";

/** Handlers of gRPC messages, without their types. */
export type AnyGrpcHandlers = GrpcHandlers<DescService, unknown, unknown>;

/** Whether calls of a handler return promises. */
export interface HandlerTiming {
  /**
   * False until the handler is known to be an async function or a call has returned a promise. Until then the handler
   * keeps nothing of its input, so the input is not counted.
   */
  mayWait: boolean;
}

/** A body handler of a definition, or its gRPC handlers. */
export interface BodyClaim {
  /** Index of the definition. */
  readonly index: number;
  readonly timing: HandlerTiming;
  readonly handler: AnyBodyHandler | (AnyGrpcHandlers & { readonly read: "grpc" });
}

/** The body handlers of each direction, in the order in which they run: the order of the response is reversed. */
export type BodyClaims = Readonly<Record<Direction, readonly BodyClaim[]>>;

/** Returns the body handlers of definitions; undefined if there are none. */
export function bodyClaims(definitions: readonly AnyDefinition[]): BodyClaims | undefined {
  const request = definitions.flatMap((definition, index) => claimOf(definition, index, "request"));
  const response = definitions.flatMap((definition, index) => claimOf(definition, index, "response")).reverse();
  return request.length + response.length > 0 ? { request, response } : undefined;
}

/** Returns what the handlers need together. */
export function needsOf(claims: readonly BodyClaim[]): BodyNeeds {
  const some = (test: (claim: BodyClaim) => boolean) => claims.some(test);
  return {
    whole: some(({ handler }) => readsWhole(handler)),
    tail: some(hasTail),
    changes: some(({ handler }) => handler.read !== "inspect"),
    required: some(({ handler }) => handler.required === true),
    piecewise: claims.every(({ handler }) => !readsWhole(handler) && handler.read !== "grpc"),
    unfitForGrpc: some(({ handler }) => !["grpc", "chunks", "inspect"].includes(handler.read)),
  };
}

/** True for a handler that gets the whole body at once. */
export function readsWhole<H extends { readonly read: string }>(
  handler: H,
): handler is H & { readonly read: "whole" | "text" | "json" } {
  const { read } = handler;
  return read === "whole" || read === "text" || read === "json";
}

/** True for a handler that may add bytes after the last chunk. */
export function hasTail({ handler }: BodyClaim): boolean {
  return handler.read === "stream" || (handler.read === "chunks" && handler.end !== undefined);
}

function claimOf(definition: AnyDefinition, index: number, direction: Direction): readonly BodyClaim[] {
  const handler = definition[`${direction}Body`];
  if (handler !== undefined) {
    const functions: readonly unknown[] = Object.values(handler);
    const timing = { mayWait: handler.read === "stream" || functions.some(isAsync) };
    return [{ index, timing, handler: handler as AnyBodyHandler }];
  }
  const { grpc } = definition;
  if (grpc === undefined) return [];
  const methods: readonly (object | undefined)[] = Object.values(grpc.methods);
  return methods.some((method) => method !== undefined && direction in method)
    ? [{ index, timing: { mayWait: true }, handler: { ...grpc, read: "grpc" } }]
    : [];
}

function isAsync(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object AsyncFunction]";
}
