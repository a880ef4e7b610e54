import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { type Coding, parseContentEncoding } from "../../bodies/coding/content-encoding.ts";
import type { AnyGrpcHandlers } from "../../processor/body-claims.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import { header, headerFields, isGrpc } from "../../protocol/headers/headers.ts";
import { type BodyPhase, directionOf } from "../../protocol/phase.ts";

/** Handles the gRPC messages of one direction of a call. */
export interface GrpcCall {
  /** The type of the messages. */
  readonly schema: DescMessage;
  handle(message: unknown, tx: unknown): unknown;
  /** The codings of a message that is marked as compressed. */
  readonly codings: readonly Coding[];
}

/**
 * Returns the handler for the messages of a direction; undefined if the request does not call a method that has a
 * handler.
 */
export function grpcCall(handlers: AnyGrpcHandlers, exchange: Exchange, phase: BodyPhase): GrpcCall | undefined {
  const direction = directionOf(phase);
  const request = exchange.headers("request");
  const headers = exchange.headers(direction);
  if (request === undefined || headers === undefined || !isGrpc(headerFields(headers))) return undefined;
  const path = header(request, ":path") ?? "";
  const { service, methods } = handlers;
  const found = Object.entries(service.method).find(([, { name }]) => path === `/${service.typeName}/${name}`);
  if (found === undefined) return undefined;
  const [localName, method]: readonly [string, DescMethod] = found;
  const own = Object.hasOwn(methods, localName) ? methods[localName] : undefined;
  const handle = own?.[direction] as GrpcCall["handle"] | undefined;
  if (handle === undefined) return undefined;
  const encoding = parseContentEncoding(header(headers, "grpc-encoding"));
  return {
    schema: direction === "request" ? method.input : method.output,
    handle: (message, tx) => handle.call(own, message, tx),
    codings: encoding.kind === "codings" ? encoding.codings : [],
  };
}
