import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { GRPC_PREFIX_BYTES } from "../../protocol/grpc-framing.ts";
import { checkFieldCount, TooManyParts } from "../../protocol/message-limits.ts";
import { hasMoreElements } from "../../text/json-elements.ts";
import type { RequestRoom } from "./connect-handler.ts";
import { EnvelopeJoiner } from "./envelope-joiner.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/** What one call may bring. */
export interface CallBounds {
  /** Largest message, in bytes. */
  readonly maxBytes: number;
  /** Most fields of a message in the binary format, nested ones included. */
  readonly maxFields: number;
  /** Most elements of a message in JSON, see {@link hasMoreElements}. A header has 5, and 3 fields. */
  readonly maxJsonElements: number;
  /** How long the body of a unary call may take to arrive, in milliseconds. */
  readonly timeoutMs: number;
  /** How much of its requests is kept while they arrive. Default: messages of 4 MiB, or as the server is set. */
  readonly requestRoom?: RequestRoom | undefined;
}

/**
 * Reads a body to its end.
 *
 * @throws {ConnectError} If it is too large (RESOURCE_EXHAUSTED) or comes too slowly (DEADLINE_EXCEEDED), and what the body
 *   itself throws.
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
    // A body that is too slow may not end for long: nothing waits for it.
    void iterator.return?.();
  }
}

/**
 * The messages of a stream, each in one piece with its envelope, and looked at before Connect parses it. Connect allocates the
 * announced length of a message before its bytes arrive, and takes time for each of its pieces that grows with their number.
 *
 * @throws {ConnectError} RESOURCE_EXHAUSTED if a message announces more than `maxBytes`, and what `check` throws.
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
  // Connect says what is wrong with a message that has no end.
  if (joiner.heldBytes > 0) yield joiner.rest();
}

/**
 * What looks at a message of a method before it is parsed.
 *
 * @throws {TooManyParts} The function that is returned, if a message has more elements than allowed.
 */
export function elementCheck(
  { input }: DescMethod,
  contentType: string,
  { maxFields, maxJsonElements: max }: Pick<CallBounds, "maxFields" | "maxJsonElements">,
): (message: Uint8Array) => void {
  if (/[/+]json\b/i.test(contentType)) {
    return (message) => {
      if (hasMoreElements(message, max))
        throw new TooManyParts(`the message has more than ${max} elements of JSON, which is the limit`);
    };
  }
  return (message) => {
    try {
      checkFieldCount(input, message, maxFields);
    } catch (cause) {
      if (cause instanceof TooManyParts) throw cause;
      // Connect says what is wrong with bytes that are not a message.
    }
  };
}

/** The messages in the body of a unary call. Only those of Connect stand there without an envelope. */
export function* messagesIn(body: Uint8Array, contentType: string): Iterable<Uint8Array> {
  if (!/^application\/grpc/i.test(contentType)) yield body;
  else for (const envelope of new EnvelopeJoiner().push(body)) yield envelope.subarray(GRPC_PREFIX_BYTES);
}

/** A message has more bytes than allowed. */
class TooLargeError extends ConnectError {
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the message is larger than ${maxBytes} bytes, which is the limit`, Code.ResourceExhausted);
    this.maxBytes = maxBytes;
  }
}

/** True for what {@link readBody} throws if a body is too large. Connect takes all of its errors for one class. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ConnectError && "maxBytes" in error;
}

/** The next piece, unless the time is over. */
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
