/** What a log may say of something that was thrown. */
export interface ThrownFields {
  /** Class of an Error, or the type of anything else. */
  readonly error?: string;
  /** The innermost five places of its stack. */
  readonly at?: readonly string[];
}

/** Class and place of what was thrown, without its message, which may quote a transaction. */
export function describeThrown(cause: unknown): ThrownFields {
  if (cause === undefined) return {};
  try {
    if (cause instanceof Error) return { error: cause.constructor.name, at: places(cause) };
  } catch {
    // Anything can be thrown, even an error that throws when it is looked at.
  }
  return { error: typeof cause };
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
