import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED } from "./error-codes.ts";
import type { Frame } from "./frames.ts";
import { type HeaderBlock, HeaderBlockAssembler } from "./header-block.ts";
import type { HeaderList } from "./header-list.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import { encodeHeaderBlock } from "./hpack-encoder.ts";
import { failStream, rejectStream } from "./peer-faults.ts";
import { ServerStream } from "./server-stream.ts";

/** RFC 9113 section 10.5.1, RFC 6585 section 5. */
const TOO_LARGE = encodeHeaderBlock([[":status", "431"]]);

/** HEADERS and CONTINUATION: new streams and trailers (RFC 9113 sections 5.1, 8.1 and 8.3). */
export class HeadersReceiver {
  readonly blocks: HeaderBlockAssembler;
  readonly #context: ConnectionContext;
  readonly #hpack: HpackDecoder;

  constructor(context: ConnectionContext, hpack: HpackDecoder) {
    this.#context = context;
    this.#hpack = hpack;
    this.blocks = new HeaderBlockAssembler(context.limits);
  }

  onHeaders(frame: Frame): void {
    const block = this.blocks.onHeaders(frame);
    if (block !== undefined) this.#onBlock(block);
  }

  onContinuation(frame: Frame): void {
    const block = this.blocks.onContinuation(frame);
    if (block !== undefined) this.#onBlock(block);
  }

  /** Each block is decoded before anything else: the HPACK state is shared by all streams, refused ones included. */
  #onBlock(block: HeaderBlock): void {
    const headers = this.#hpack.decode(block.bytes, block.start, block.end);
    const { streams, totals } = this.#context;
    const { streamId } = block;
    const stream = streams.get(streamId);
    if (stream !== undefined) {
      this.#onTrailers(stream, headers, block.endStream);
    } else if (streamId <= streams.lastId) {
      this.#stray(streamId);
    } else if (streamId <= streams.maxAcceptedId) {
      streams.lastId = streamId;
      if (streams.isFull) {
        totals.streamsRefused++;
        streams.refuse(streamId, REFUSED_STREAM);
      } else {
        this.#onRequest(block, headers);
      }
    }
  }

  #onRequest(block: HeaderBlock, headers: HeaderList): void {
    const { streamId, endStream } = block;
    if (headers.isTooLarge) {
      this.#answerTooLarge(streamId, endStream);
    } else if (block.isSelfDependent || headers.requestFault !== "" || (endStream && headers.contentLength > 0)) {
      // RFC 9113 section 8.1.1: malformed.
      rejectStream(this.#context, streamId, PROTOCOL_ERROR);
    } else {
      this.#open(streamId, headers, endStream);
    }
  }

  #open(streamId: number, headers: HeaderList, endStream: boolean): void {
    const context = this.#context;
    const stream = new ServerStream(context, streamId, headers);
    context.streams.add(stream);
    try {
      const handler = context.accept(stream, headers);
      if (!stream.isClosed) stream.handler = handler;
    } catch (error) {
      context.reportHandlerError(error);
      stream.reset(INTERNAL_ERROR);
    }
    if (endStream && !stream.isClosed) stream.receiveEnd(undefined);
  }

  /** Answered without the application, which would have to keep what it is too large to keep. */
  #answerTooLarge(streamId: number, endStream: boolean): void {
    const { sender, streams, totals } = this.#context;
    totals.headerListsTooLarge++;
    sender.headers(streamId, TOO_LARGE, true);
    if (endStream) streams.answered(streamId);
    else streams.refuse(streamId, NO_ERROR);
  }

  #onTrailers(stream: ServerStream, trailers: HeaderList, endStream: boolean): void {
    if (stream.isRemoteClosed) {
      failStream(this.#context, stream, STREAM_CLOSED);
    } else if (!endStream || trailers.trailerFault !== "" || trailers.isTooLarge || stream.contentLeft > 0) {
      failStream(this.#context, stream, PROTOCOL_ERROR);
    } else {
      stream.receiveEnd(trailers);
    }
  }

  /** HEADERS on a stream that was open once, or was skipped (section 5.1.1). */
  #stray(streamId: number): void {
    const state = this.#context.streams.closedState(streamId);
    if (state === "reset") return;
    if (state === "forgotten") {
      rejectStream(this.#context, streamId, STREAM_CLOSED);
      return;
    }
    const code = state === "ended" ? STREAM_CLOSED : PROTOCOL_ERROR;
    throw new ConnectionError(code, "invalid_stream_state", `HEADERS on stream ${streamId}, which is ${state}`);
  }
}
