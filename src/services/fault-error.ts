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
  const reason = fault.code === "handler_threw" ? `: ${cause instanceof Error ? String(cause) : "not an Error"}` : "";
  return new ConnectError(`${fault.code}: ${fault.message}${reason}`, CODES[fault.code]);
}

/**
 * What the error means with which Connect's iteration of requests ended: the peer sent what cannot be read, or,
 * undefined, it is gone.
 */
export function readFault(error: unknown): Fault | undefined {
  const { code, rawMessage } = ConnectError.from(error);
  if (code === Code.ResourceExhausted) return fault("message_too_large", rawMessage, { cause: error });
  const unreadable = code === Code.InvalidArgument || code === Code.Internal || code === Code.Unimplemented;
  return unreadable ? fault("malformed_message", rawMessage, { cause: error }) : undefined;
}
