import { Code, ConnectError } from "@connectrpc/connect";
import { GRPC_PREFIX_BYTES } from "../../protocol/grpc-framing.ts";
import { TooManyParts } from "../../wire/message-limits.ts";
import { type CallBounds, elementCheck, messagesIn, readBody, wholeMessages } from "./call-body.ts";
import { bodyOf, type ConnectAnswer, type ConnectHandler, type ConnectRequest } from "./connect-handler.ts";
import { isRefusalCode, refusal } from "./refusal.ts";

/** A call whose request has arrived, as far as a handler needs it. */
export interface ArrivedCall {
  readonly request: ConnectRequest;
  /**
   * The whole body of a unary call. Undefined for streams, and if the handler rejects the call without reading a body.
   */
  readonly bytes: Uint8Array | undefined;
}

/** A handler that gets only requests within these bounds. Others are rejected in the protocol of the call. */
export function boundedCall(handler: ConnectHandler, bounds: CallBounds): ConnectHandler {
  const call = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const arrived = await arrival(handler, request, bounds);
    return "status" in arrived ? arrived : await handler(arrived.request);
  };
  return Object.assign(call, handler, { requestRoom: bounds.requestRoom });
}

/**
 * Waits for the body of a unary call and checks it before it is parsed. Returns the answer that rejects the call if the
 * body exceeds the bounds. Messages of a stream are checked when they come.
 */
export async function arrival(
  handler: ConnectHandler,
  request: ConnectRequest,
  bounds: CallBounds,
): Promise<ArrivedCall | ConnectAnswer> {
  const contentType = request.header.get("content-type") ?? "";
  const { body } = request;
  if (!isStream(body) || request.method !== "POST" || isRefusedUnread(handler, request, contentType))
    return { request: { ...request, body: bodyOf() }, bytes: undefined };
  const check = elementCheck(handler.method, contentType, bounds);
  if (handler.method.methodKind !== "unary") {
    const messages = wholeMessages(body, (message) => checkInStream(check, message), bounds.maxBytes);
    return { request: { ...request, body: messages }, bytes: undefined };
  }
  const envelopeBytes = isEnveloped(contentType) ? GRPC_PREFIX_BYTES : 0;
  try {
    const bytes = await readBody(body, { ...bounds, maxBytes: bounds.maxBytes + envelopeBytes });
    for (const message of messagesIn(bytes, contentType)) check(message);
    return { request: { ...request, body: bodyOf(bytes) }, bytes };
  } catch (cause) {
    if (cause instanceof TooManyParts) return refusal(request, Code.ResourceExhausted, cause.message);
    const { code, rawMessage } = ConnectError.from(cause);
    if (isRefusalCode(code)) return refusal(request, code, rawMessage);
    throw cause;
  }
}

/**
 * True for calls that Connect answers from their headers only. Without a content type it assumes the only protocol that
 * fits.
 */
function isRefusedUnread(handler: ConnectHandler, { header }: ConnectRequest, contentType: string): boolean {
  const isCompressed = (header.get("content-encoding") ?? "identity") !== "identity";
  return isCompressed || (contentType !== "" && !handler.supportedContentType(contentType));
}

function checkInStream(check: (message: Uint8Array) => void, message: Uint8Array): void {
  try {
    check(message);
  } catch (cause) {
    if (!(cause instanceof TooManyParts)) throw cause;
    throw new ConnectError(cause.message, Code.InvalidArgument, undefined, undefined, cause);
  }
}

function isEnveloped(contentType: string): boolean {
  return /^application\/grpc/i.test(contentType);
}

function isStream(body: ConnectRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
