import { failureCode, failureName, failureText } from "../../text/failure-text.ts";

/** What a log may say of something that was thrown. */
export interface ThrownFields {
  /** Class of an Error, or the type of anything else. */
  readonly error?: string;
  /** Name of an Error if it differs from the class, such as `TimeoutError` of a DOMException. */
  readonly name?: string;
  /** Its code, or that of its cause, such as `ENOTFOUND`. */
  readonly code?: string | number;
  /** The innermost five places of its stack. */
  readonly at?: readonly string[];
}

/** {@link ThrownFields}, and the message. */
export interface FailureFields extends ThrownFields {
  /** The message, and those of the causes, on one line of bounded length. */
  readonly reason?: string;
}

/** Class, name, code and place of what was thrown, without its message, which may quote a transaction. */
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
    // Anything can be thrown, even an error that throws when it is looked at.
  }
  return { error: typeof cause, ...coded };
}

/** The same with the message, for code that sees no transaction: `setup` and `close`. */
export function describeFailure(cause: unknown): FailureFields {
  if (cause === undefined) return {};
  const reason = failureText(cause);
  return reason === "" ? describeThrown(cause) : { ...describeThrown(cause), reason };
}

/** Where the stack passes. Its head repeats the message, whose lines may look like places. */
function places({ stack = "", message }: Error): readonly string[] {
  const head = stack.indexOf(message);
  if (head < 0) return [];
  const lines = stack.slice(head + message.length).split("\n");
  return lines
    .map((line) => line.trim())
    .filter((line) => /^at .*:\d+:\d+\)?$/.test(line))
    .slice(0, 5);
}
