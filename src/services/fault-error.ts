import { Code, ConnectError } from "@connectrpc/connect";
import { type Fault, type FaultCode, fault } from "../protocol/fault.ts";

/**
 * The gRPC code of a fault. A processor's failure is INTERNAL; what the peer got wrong is INVALID_ARGUMENT; a
 * server that has to go is UNAVAILABLE, which a retry may mend.
 */
const CODES: Readonly<Record<FaultCode, Code>> = {
  handler_threw: Code.Internal,
  invalid_effect: Code.Internal,
  header_ambiguous: Code.Internal,
  phase_out_of_order: Code.InvalidArgument,
  message_too_large: Code.ResourceExhausted,
  malformed_message: Code.InvalidArgument,
  server_draining: Code.Unavailable,
  internal_error: Code.Internal,
};

/**
 * The error that ends a stream with this fault. Its text goes to Envoy's access log, so it is that of the fault,
 * without what a handler threw.
 */
export function faultError(fault: Fault): ConnectError {
  return new ConnectError(`${fault.code}: ${fault.message}`, CODES[fault.code]);
}

/**
 * The same for a person who debugs: what the handler threw is told as well, since the data it may quote is the
 * caller's own.
 */
export function explainedFaultError(fault: Fault): ConnectError {
  const { cause } = fault;
  const reason = fault.code === "handler_threw" ? `: ${explainCause(cause)}` : "";
  return new ConnectError(`${fault.code}: ${fault.message}${reason}`, CODES[fault.code]);
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
  // Connect's own text quotes malformed JSON.
  return fault("malformed_message", "the peer sent bytes that are no ProcessingRequest", { cause: error });
}
