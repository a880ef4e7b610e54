import { failureCode, failureName, failureText } from "../../text/failure-text.ts";

/** The fields of a log line about an error that was thrown. */
export interface ThrownFields {
  /** Class of an Error, or the type of any other value. */
  readonly error?: string;
  /** Name of an Error, if it differs from the class, such as `TimeoutError` of a DOMException. */
  readonly name?: string;
  /** The code of the error or of its cause, such as `ENOTFOUND`. */
  readonly code?: string | number;
  /** The five innermost places of its stack. */
  readonly at?: readonly string[];
}

/** {@link ThrownFields}, and the message. */
export interface FailureFields extends ThrownFields {
  /** The message and the messages of the causes, on one line of limited length. */
  readonly reason?: string;
}

/** Class, name, code and place of an error, without its message, which can quote a transaction. */
export function describeThrown(cause: unknown): ThrownFields {
  if (cause === undefined) return {};
  const code = failureCode(cause);
  const coded = code === undefined ? {} : { code };
  try {
    if (cause instanceof Error) {
      const error = cause.constructor.name;
      const name = failureName(cause);
      return { error, ...(name === undefined || name === error ? {} : { name }), ...coded, at: places(cause) };
    }
  } catch {
    // Any value can be thrown, even an error whose properties throw.
  }
  return { error: typeof cause, ...coded };
}

/** Like {@link describeThrown}, with the message, for code that sees no transaction: `setup` and `close`. */
export function describeFailure(cause: unknown): FailureFields {
  if (cause === undefined) return {};
  const reason = failureText(cause);
  return reason === "" ? describeThrown(cause) : { ...describeThrown(cause), reason };
}

/** The places in the stack, without its head: that repeats the message, whose lines can look like places. */
function places({ stack = "", message }: Error): readonly string[] {
  const head = stack.indexOf(message);
  if (head < 0) return [];
  const lines = stack.slice(head + message.length).split("\n");
  return lines
    .map((line) => line.trim())
    .filter((line) => /^at .*:\d+:\d+\)?$/.test(line))
    .slice(0, 5);
}
