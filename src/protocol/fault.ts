import { FAULTS, type FaultCode, type FaultSource } from "./faults.ts";
import type { Phase } from "./phase.ts";

/** A failure as a value. It ends its own stream and nothing else. */
export interface Fault {
  /** Distinguishes a fault from other values. */
  readonly kind: "fault";
  /** What went wrong: a stable code, which is also a label of metrics. */
  readonly code: FaultCode;
  /** Who caused the fault. */
  readonly source: FaultSource;
  /** What happened, in one line, without any header value or body byte: it goes to logs and to Envoy's access log. */
  readonly message: string;
  /** Name of the processor whose handler failed; undefined if no handler was involved. */
  readonly processor?: string | undefined;
  /** The phase of the message that caused the fault, if the message itself could not be read. */
  readonly phase?: Phase | undefined;
  /** The thrown value. It may contain data of the transaction, so it is never logged. */
  readonly cause?: unknown;
}

/** The name of the gRPC metadata with the code of a fault. The gRPC status is less precise. */
export const FAULT_METADATA = "ext-proc-fault";

/** Makes a fault. Its source follows from its code. */
export function fault(
  code: FaultCode,
  message: string,
  details: {
    readonly processor?: string | undefined;
    readonly phase?: Phase | undefined;
    readonly cause?: unknown;
  } = {},
): Fault {
  return { kind: "fault", code, source: FAULTS[code].source, message, ...details };
}

const FAULT_ERROR = Symbol.for("ext-proc.fault-error");

/**
 * Thrown if a function that a handler calls has a fault, such as `tx.request.one()`. A handler should not catch it: the
 * runner turns it back into its fault. A handler may catch it to decide itself.
 */
export class FaultError extends Error {
  /** Code of the fault that this error becomes. */
  readonly code: FaultCode;
  readonly [FAULT_ERROR] = true;

  constructor(code: FaultCode, message: string) {
    super(message);
    this.name = "FaultError";
    this.code = code;
  }

  /** True for a FaultError of any copy of this library: a global command line may load a local processor. */
  static is(value: unknown): value is FaultError {
    return typeof value === "object" && value !== null && FAULT_ERROR in value;
  }
}
