import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { type Coding, parseContentEncoding } from "../../bodies/coding/content-encoding.ts";
import type { AnyGrpcHandlers } from "../../processor/body-claims.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import { header, headerFields, isGrpc } from "../../protocol/headers/headers.ts";
import { type BodyPhase, directionOf } from "../../protocol/phase.ts";

/** What handles the gRPC messages of one direction of one call. */
export interface GrpcCall {
  /** Type of the messages. */
  readonly schema: DescMessage;
  handle(message: unknown, tx: unknown): unknown;
  /** How a message is coded that says so of itself. */
  readonly codings: readonly Coding[];
}

/** The handler of a direction's messages; undefined where the request is no call of a method that has one. */
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
