import { Code, ConnectError } from "@connectrpc/connect";
import { FAULT_METADATA, type Fault, fault } from "../../protocol/fault.ts";
import { grpcStatusOf } from "../../protocol/faults.ts";
import { TooManyParts } from "../../wire/message-limits.ts";

/**
 * The error that ends a stream with this fault. Its text appears in Envoy's access log, so it does not include the
 * error that a handler threw.
 */
export function faultError(fault: Fault): ConnectError {
  return errorOf(fault, `${fault.code}: ${fault.message}`);
}

/**
 * Like {@link faultError}, for debug calls: the text includes the error that a handler threw, because that can only
 * quote the caller's own data.
 */
export function explainedFaultError(fault: Fault): ConnectError {
  const { cause } = fault;
  const reason = fault.code === "handler_threw" ? `: ${explainCause(cause)}` : "";
  return errorOf(fault, `${fault.code}: ${fault.message}${reason}`);
}

function errorOf({ code }: Fault, message: string): ConnectError {
  return new ConnectError(message, grpcStatusOf(code), { [FAULT_METADATA]: code });
}

function explainCause(cause: unknown): string {
  if (!(cause instanceof Error)) return "not an Error";
  try {
    return String(cause);
  } catch {
    // An Error can have its own toString, or a message that is a getter.
    return "an Error without a readable message";
  }
}

/** Connect's codes for bytes that it cannot parse. INTERNAL is for bytes in the binary format. */
const UNREADABLE: ReadonlySet<Code> = new Set([Code.InvalidArgument, Code.Internal, Code.Unimplemented]);

/**
 * The fault for an error that ended Connect's iteration of requests while the client was connected: the client sent
 * bytes that cannot be parsed. Undefined for any other error.
 */
export function readFault(error: unknown): Fault | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const { code, rawMessage } = error;
  if (code === Code.ResourceExhausted) return fault("message_too_large", rawMessage, { cause: error });
  if (!UNREADABLE.has(code)) return undefined;
  if (error.cause instanceof TooManyParts) return fault("malformed_message", error.cause.message, { cause: error });
  // Connect's own text quotes malformed JSON.
  return fault("malformed_message", "the client sent bytes that are not a ProcessingRequest", { cause: error });
}
