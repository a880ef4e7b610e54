import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { INTERNAL_ERROR } from "../http2/error-codes.ts";
import type { HeaderList } from "../http2/header-list.ts";
import type { Http2Stream, StreamHandler } from "../http2/http2-stream.ts";
import type { MemoryAccount } from "../memory/memory-account.ts";
import type { MemoryShare } from "../memory/memory-share.ts";
import type { Processor } from "../processor/definition.ts";
import { FAULT_METADATA, type Fault, fault } from "../protocol/fault.ts";
import { grpcStatusOf } from "../protocol/faults.ts";
import { GrpcStatus } from "../protocol/grpc-status.ts";
import type { Phase } from "../protocol/phase.ts";
import { markUnread } from "../protocol/unread-body.ts";
import type { LateHandlers } from "../session/late-handlers.ts";
import { Session } from "../session/session.ts";
import { CUT_OFF, isCutOff, type SessionEnd, type SessionOutlet } from "../session/session-observer.ts";
import { MAX_WAITING_MESSAGES, type SharedSessionOptions } from "../session/session-options.ts";
import type { Problem } from "../text/problem.ts";
import { memberByTag } from "../wire/canonical-request.ts";
import { decodeRequest } from "../wire/decode-request.ts";
import { encodeAnswer } from "../wire/encode-answer.ts";
import { headerCount } from "../wire/lazy-headers.ts";
import { TooManyParts } from "../wire/message-limits.ts";
import { parseGrpcTimeout } from "./grpc-timeout.ts";
import { type FramingProblem, MessageReader, type MessageSink } from "./message-reader.ts";
import { GrpcReply } from "./reply.ts";

/** How Process calls are served. */
export interface ProcessCallOptions extends SharedSessionOptions {
  readonly processor: Processor;
  /** Largest message, in bytes, without its five-byte prefix. */
  readonly maxMessageBytes: number;
  /** Counts large headers of calls and messages. Default: they are not counted. */
  readonly memory?: Pick<MemoryAccount, "headers"> | undefined;
}

/** Cost of a waiting message in addition to its bytes, and for each byte outside of a body: the objects read from it. */
const WAITING_MESSAGE_BYTES = 512;
const WAITING_BYTE_BYTES = 32;
/**
 * Headers from this size on are counted while they are kept. Those of most requests are smaller, and cost no more than the
 * stream itself.
 */
const LARGE_HEADERS_BYTES = 4096;
/** Cost of a header entry in addition to its bytes, after it was read into objects. */
const HEADER_ENTRY_BYTES = 200;

/**
 * One call of `envoy.service.ext_proc.v3.ExternalProcessor/Process` over gRPC, as Envoy makes it. If handlers are
 * synchronous, the answer is written in the turn of the event loop that read the message.
 */
export class ProcessCall implements StreamHandler, MessageSink, SessionOutlet {
  readonly #stream: Http2Stream;
  readonly #headers: HeaderList;
  readonly #reply: GrpcReply;
  readonly #maxMessageBytes: number;
  readonly #reader: MessageReader;
  readonly #session: Session;
  #deadline: NodeJS.Timeout | undefined;
  #began = false;
  #isReset = false;
  #writable = true;
  #whenDrained: (() => void)[] | undefined;
  /** Counted bytes of the messages that wait for a handler, oldest first. */
  #waiting: number[] | undefined;
  readonly #memory: ProcessCallOptions["memory"];
  /** Counted bytes of headers, which are kept as long as the transaction or one of its handlers. */
  #headerBytes = 0;

  constructor(stream: Http2Stream, headers: HeaderList, options: ProcessCallOptions) {
    this.#stream = stream;
    this.#headers = headers;
    this.#reply = new GrpcReply(stream);
    this.#maxMessageBytes = options.maxMessageBytes;
    this.#memory = options.memory;
    this.#reader = new MessageReader(this, options.maxMessageBytes, stream);
    const call = { origin: "envoy", outlet: this, callHeaders: headers, peer: stream.peer } as const;
    this.#session = new Session(options.processor, call, options);
    this.#setDeadline(parseGrpcTimeout(headers.get("grpc-timeout")));
    if (headers.sizeBytes >= LARGE_HEADERS_BYTES) this.#holdHeaders(headers.sizeBytes, headers.fields.length);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#reader.read(bytes, start, end);
  }

  onMessage(bytes: Uint8Array): boolean {
    if (!this.#began) {
      this.#began = true;
      this.#stream.beginWork();
    }
    let request: ProcessingRequest;
    try {
      request = decodeRequest(bytes);
    } catch (cause) {
      this.#blameClient(unread(cause));
      return false;
    }
    if (bytes.length >= LARGE_HEADERS_BYTES && !this.#holdHeadersOf(request, bytes.length)) return false;
    const isSpent = this.#session.receive(request);
    if (this.#session.backlog > 0) this.#holdWaiting(bytes.length, request);
    return isSpent;
  }

  onOversized(bytes: Uint8Array, length: number, problem: "too_large" | "no_room"): void {
    let request: ProcessingRequest;
    try {
      request = decodeRequest(bytes);
    } catch (cause) {
      this.#blameClient(unread(cause));
      return;
    }
    const { case: phase, value } = request.request;
    if (phase === "requestBody" || phase === "responseBody")
      markUnread(value, problem === "no_room" ? noRoom(length, phase) : tooLarge(length, this.#maxMessageBytes, phase));
    this.#session.receive(request);
    if (this.#session.backlog > 0) this.#holdWaiting(bytes.length, request);
  }

  onUnreadable(problem: FramingProblem): void {
    const failure = unreadable(problem, this.#maxMessageBytes, this.#headers);
    // Other clients may have used up the room.
    if (problem.kind === "no_room") this.#session.fail(failure);
    else this.#blameClient(failure);
  }

  onEnd(): void {
    if (this.#reader.idle) this.#session.finish();
    else this.#blameClient(fault("malformed_message", "the request ends inside a message"));
  }

  onReset(code: number): void {
    this.#isReset = true;
    // Envoy 1.36 sends NO_ERROR, and only once the transaction is over: it may have answered the client itself. A message
    // that is cut in two shows that Envoy had more to send: the client left.
    const isDone = code === INTERNAL_ERROR && this.#reader.idle;
    this.#reader.stop();
    this.#session.cancel(isDone);
  }

  isMidMessage(): boolean {
    return !this.#reader.idle;
  }

  onWritable(): void {
    this.#writable = true;
    this.#drain();
    this.#resumeReading();
  }

  drained(): Promise<void> | undefined {
    if (this.#writable) return undefined;
    return new Promise((resolve) => {
      this.#whenDrained ??= [];
      this.#whenDrained.push(resolve);
    });
  }

  send(response: ProcessingResponse): void {
    this.#writable = this.#reply.send(encodeAnswer(response));
    // While the client does not read answers, no further message is taken.
    if (!this.#writable) this.#stream.pause();
  }

  ended({ result, error }: SessionEnd): void {
    clearTimeout(this.#deadline);
    this.#reader.stop();
    this.#releaseWaiting(0);
    this.#drain();
    if (error !== undefined)
      this.#reply.end(grpcStatusOf(error.code), `${error.code}: ${error.message}`, [[FAULT_METADATA, error.code]]);
    else if (!isCutOff(result)) this.#reply.end(GrpcStatus.OK);
    // After a reset there is no stream to end. After its own deadline the stream has ended already.
    else if (!this.#isReset) this.#reply.end(GrpcStatus.CANCELLED, CUT_OFF);
    // A handler that runs after its stream still has a cost. So it counts as a concurrent stream of the connection.
    const { late } = this.#session;
    if (late === undefined) {
      this.#releaseHeaders();
      return;
    }
    whenNone(late, { release: this.#stream.hold(), share: this.#memory?.headers, bytes: this.#headerBytes });
    this.#headerBytes = 0;
  }

  settled(): void {
    this.#releaseWaiting(this.#session.backlog);
    this.#resumeReading();
  }

  /** Counts a large message, unless it is a piece of a body. False: there is no room, and the transaction has failed. */
  #holdHeadersOf({ request: { case: phase, value } }: ProcessingRequest, bytes: number): boolean {
    if (phase === undefined || phase === "requestBody" || phase === "responseBody") return true;
    return this.#holdHeaders(bytes, headerCount(value), phase);
  }

  #holdHeaders(bytes: number, count: number, phase?: Phase): boolean {
    const counted = bytes + count * HEADER_ENTRY_BYTES;
    if (this.#memory === undefined) return true;
    if (!this.#memory.headers.take(counted)) {
      this.#session.fail(noRoomForHeaders(bytes, phase));
      return false;
    }
    this.#headerBytes += counted;
    return true;
  }

  #releaseHeaders(): void {
    this.#memory?.headers.give(this.#headerBytes);
    this.#headerBytes = 0;
  }

  /** Counts the message that came last, if it waits for a handler. */
  #holdWaiting(bytes: number, { request: { case: phase, value } }: ProcessingRequest): void {
    const { backlog } = this.#session;
    this.#releaseWaiting(backlog);
    this.#waiting ??= [];
    if (this.#waiting.length < backlog) {
      const bodyBytes = phase === "requestBody" || phase === "responseBody" ? value.body.length : 0;
      const counted = bytes + (bytes - bodyBytes) * WAITING_BYTE_BYTES + WAITING_MESSAGE_BYTES;
      if (!this.#stream.holdReceived(counted)) {
        this.#session.fail(noRoom(bytes, phase));
        return;
      }
      this.#waiting.push(counted);
    }
    if (backlog >= MAX_WAITING_MESSAGES) this.#stream.pause();
  }

  /** Counts no more messages than wait now. */
  #releaseWaiting(backlog: number): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.length <= backlog) return;
    for (const counted of waiting.splice(0, waiting.length - backlog)) this.#stream.releaseReceived(counted);
  }

  #drain(): void {
    const waiting = this.#whenDrained;
    this.#whenDrained = undefined;
    for (const resolve of waiting ?? []) resolve();
  }

  #resumeReading(): void {
    if (this.#writable && this.#session.backlog < MAX_WAITING_MESSAGES) this.#stream.resume();
  }

  #setDeadline(timeoutMs: number | Problem | undefined): void {
    if (timeoutMs === undefined) return;
    if (typeof timeoutMs === "object") {
      this.#blameClient(fault("malformed_message", `the peer sent ${timeoutMs.problem}`));
      return;
    }
    this.#deadline = setTimeout(() => {
      // The status first: Envoy takes an end without a status for a failure of the transport.
      this.#reply.end(GrpcStatus.DEADLINE_EXCEEDED, "the caller's deadline passed");
      this.#session.cancel();
      this.#stream.chargeReset();
    }, timeoutMs);
  }

  /** The stream ends, and its handlers may continue. A client that repeats this must not start handlers without limit. */
  #blameClient(failure: Fault): void {
    this.#session.fail(failure);
    this.#stream.chargeReset();
  }
}

/** Releases what late handlers keep. It is a separate function, so that their promises do not refer to the transaction. */
function whenNone(
  late: LateHandlers,
  kept: { readonly release: () => void; readonly share: MemoryShare | undefined; readonly bytes: number },
): void {
  late.whenNone(() => {
    kept.release();
    kept.share?.give(kept.bytes);
  });
}

function tooLarge(bytes: number, maxMessageBytes: number, phase: Phase | undefined): Fault {
  const text = `a message has ${bytes} bytes, and --max-message-bytes allows ${maxMessageBytes}`;
  return fault("message_too_large", phase === undefined ? text : `${phase}: ${text}`, { phase });
}

function noRoom(bytes: number, phase: Phase | undefined): Fault {
  const text = `a message of ${bytes} bytes finds no room among the messages that are held: --max-held-message-bytes`;
  return fault("message_memory_exceeded", phase === undefined ? text : `${phase}: ${text}`, { phase });
}

function noRoomForHeaders(bytes: number, phase: Phase | undefined): Fault {
  const text = `headers of ${bytes} bytes find no room among the headers that are held: --max-held-header-bytes`;
  return fault("message_memory_exceeded", phase === undefined ? text : `${phase}: ${text}`, { phase });
}

/** Why a message was not read. */
function unread(cause: unknown): Fault {
  if (cause instanceof TooManyParts) return fault("malformed_message", cause.message);
  return fault("malformed_message", "the peer sent bytes that are not a ProcessingRequest", { cause });
}

function unreadable(problem: FramingProblem, maxMessageBytes: number, headers: HeaderList): Fault {
  switch (problem.kind) {
    case "no_room":
      return noRoom(problem.length, memberByTag(problem.tag));
    case "too_large":
      return tooLarge(problem.length, maxMessageBytes, memberByTag(problem.tag));
    case "compressed":
      return compressed(headers.get("grpc-encoding"));
    case "bad_flag":
      return fault("malformed_message", `a message has the flags ${problem.flag}`);
  }
}

/** gRPC's compression.md: a coding that the server lacks is UNIMPLEMENTED, a flag without a coding is INTERNAL. */
function compressed(encoding: string | undefined): Fault {
  if (encoding !== undefined && encoding !== "identity") {
    return fault("compressed_message", "the peer sent a compressed message, and this server takes none");
  }
  return fault(
    "compression_undeclared",
    "the peer marked a message as compressed, and its grpc-encoding names no coding",
  );
}
