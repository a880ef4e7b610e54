import { Code, ConnectError } from "@connectrpc/connect";
import { FAULT_METADATA, type Fault, fault } from "../../protocol/fault.ts";
import { grpcStatusOf } from "../../protocol/faults.ts";
import { TooManyParts } from "../../protocol/message-limits.ts";

/**
 * The error that ends a stream with this fault. Its text goes to Envoy's access log, so it is that of the fault,
 * without what a handler threw.
 */
export function faultError(fault: Fault): ConnectError {
  return errorOf(fault, `${fault.code}: ${fault.message}`);
}

/**
 * The same for a person who debugs: what the handler threw is told as well, since the data it may quote is the
 * caller's own.
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
    // An Error may have a toString of its own, or a message that is a getter.
    return "an Error that cannot be told";
  }
}

/** Codes with which Connect says that it cannot read bytes; INTERNAL stands for those in the binary format. */
const UNREADABLE: ReadonlySet<Code> = new Set([Code.InvalidArgument, Code.Internal, Code.Unimplemented]);

/**
 * What the error means with which Connect's iteration of requests ended while the peer was there: it sent what
 * cannot be read, or, undefined, something else went wrong.
 */
export function readFault(error: unknown): Fault | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const { code, rawMessage } = error;
  if (code === Code.ResourceExhausted) return fault("message_too_large", rawMessage, { cause: error });
  if (!UNREADABLE.has(code)) return undefined;
  if (error.cause instanceof TooManyParts) return fault("malformed_message", error.cause.message, { cause: error });
  // Connect's own text quotes malformed JSON.
  return fault("malformed_message", "the peer sent bytes that are no ProcessingRequest", { cause: error });
}
