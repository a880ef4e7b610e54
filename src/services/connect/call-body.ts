import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { GRPC_PREFIX_BYTES } from "../../protocol/grpc-framing.ts";
import { hasMoreElements } from "../../text/json-elements.ts";
import { checkFieldCount, TooManyParts } from "../../wire/message-limits.ts";
import type { RequestRoom } from "./connect-handler.ts";
import { EnvelopeJoiner } from "./envelope-joiner.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/** The bounds of one call. */
export interface CallBounds {
  /** Largest message, in bytes. */
  readonly maxBytes: number;
  /** Most fields of a message in the binary format, nested ones included. */
  readonly maxFields: number;
  /** Most elements of a message in JSON, see {@link hasMoreElements}. A header has 5, and 3 fields. */
  readonly maxJsonElements: number;
  /** Timeout for the arrival of the body of a unary call, in milliseconds. */
  readonly timeoutMs: number;
  /** How much of its requests is kept while they arrive. Default: messages of 4 MiB, or the server's setting. */
  readonly requestRoom?: RequestRoom | undefined;
}

/**
 * Reads a body to its end.
 *
 * @throws {ConnectError} If it is too large (RESOURCE_EXHAUSTED) or comes too slowly (DEADLINE_EXCEEDED). Errors of the
 *   body itself are thrown too.
 */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  { maxBytes, timeoutMs }: Pick<CallBounds, "maxBytes" | "timeoutMs">,
): Promise<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  const deadline = performance.now() + timeoutMs;
  const received = new GrowingBytes();
  try {
    for (;;) {
      const next = await nextBefore(iterator, deadline, timeoutMs);
      if (next.done) return received.take();
      if (received.length + next.value.length > maxBytes) throw new TooLargeError(maxBytes);
      received.push(next.value);
    }
  } finally {
    // A slow body may not end for a long time, so this does not wait for it.
    void iterator.return?.();
  }
}

/**
 * The messages of a stream, each in one piece with its envelope. `check` sees each message before Connect parses it.
 * Connect itself would allocate the announced length of a message before its bytes arrive, and its time would grow
 * faster than the number of pieces.
 *
 * @throws {ConnectError} RESOURCE_EXHAUSTED if a message announces more than `maxBytes`. Errors of `check` are thrown
 *   too.
 */
export async function* wholeMessages(
  body: AsyncIterable<Uint8Array>,
  check: (message: Uint8Array) => void,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const joiner = new EnvelopeJoiner();
  for await (const bytes of body) {
    for (const envelope of joiner.push(bytes)) {
      check(envelope.subarray(GRPC_PREFIX_BYTES));
      yield envelope;
    }
    if ((joiner.announcedBytes ?? 0) > maxBytes) throw new TooLargeError(maxBytes);
  }
  // Connect reports a message without an end.
  if (joiner.heldBytes > 0) yield joiner.rest();
}

/**
 * Returns a function that checks a message of a method before it is parsed.
 *
 * @throws {TooManyParts} The returned function throws it, if a message has more elements than allowed.
 */
export function elementCheck(
  { input }: DescMethod,
  contentType: string,
  { maxFields, maxJsonElements: max }: Pick<CallBounds, "maxFields" | "maxJsonElements">,
): (message: Uint8Array) => void {
  if (/[/+]json\b/i.test(contentType)) {
    return (message) => {
      if (hasMoreElements(message, max))
        throw new TooManyParts(`the message has more than the limit of ${max} JSON elements`);
    };
  }
  return (message) => {
    try {
      checkFieldCount(input, message, maxFields);
    } catch (cause) {
      if (cause instanceof TooManyParts) throw cause;
      // Connect reports bytes that are not a message.
    }
  };
}

/** The messages in the body of a unary call. Only Connect's messages have no envelope. */
export function* messagesIn(body: Uint8Array, contentType: string): Iterable<Uint8Array> {
  if (!/^application\/grpc/i.test(contentType)) yield body;
  else for (const envelope of new EnvelopeJoiner().push(body)) yield envelope.subarray(GRPC_PREFIX_BYTES);
}

/** Thrown if a message has more bytes than allowed. */
class TooLargeError extends ConnectError {
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the message is larger than the limit of ${maxBytes} bytes`, Code.ResourceExhausted);
    this.maxBytes = maxBytes;
  }
}

/**
 * True for the error that {@link readBody} throws if a body is too large. `instanceof ConnectError` does not
 * distinguish it from other errors of Connect.
 */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ConnectError && "maxBytes" in error;
}

/** The next piece; rejects after the timeout. */
function nextBefore(
  iterator: AsyncIterator<Uint8Array>,
  deadline: number,
  timeoutMs: number,
): Promise<IteratorResult<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const late = () =>
      reject(new ConnectError(`the message took longer than ${timeoutMs} ms to arrive`, Code.DeadlineExceeded));
    const timer = setTimeout(late, Math.max(0, deadline - performance.now()));
    iterator.next().then(
      (next) => {
        clearTimeout(timer);
        resolve(next);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error as Error);
      },
    );
  });
}
