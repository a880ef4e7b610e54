import { chargeControlFrame, failStream, rejectStream } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import {
  ENHANCE_YOUR_CALM,
  INTERNAL_ERROR,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./error-codes.ts";
import type { Frame } from "./frames.ts";
import { type HeaderBlock, HeaderBlockReader } from "./header-block.ts";
import type { HeaderList } from "./header-list.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import { encodeHeaderBlock } from "./hpack-encoder.ts";
import { ServerStream } from "./server-stream.ts";

/** Reads HEADERS and CONTINUATION: new streams and trailers (RFC 9113 sections 5.1, 8.1 and 8.3). */
export class HeadersReceiver {
  readonly blocks: HeaderBlockReader;
  readonly #context: ConnectionContext;

  constructor(context: ConnectionContext, hpack: HpackDecoder) {
    this.#context = context;
    this.blocks = new HeaderBlockReader(context.limits, hpack);
  }

  onHeaders(frame: Frame): void {
    const block = this.blocks.onHeaders(frame);
    if (block !== undefined) this.#onBlock(block);
  }

  onContinuation(frame: Frame): void {
    const block = this.blocks.onContinuation(frame);
    if (block !== undefined) this.#onBlock(block);
  }

  #onBlock(block: HeaderBlock): void {
    const { streams, totals } = this.#context;
    const { streamId, headers } = block;
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
        this.#onRequest(block);
      }
    }
  }

  #onRequest(block: HeaderBlock): void {
    const { streamId, endStream, headers } = block;
    if (headers.isTooLarge) {
      this.#answerTooLarge(block);
    } else if (headers.requestFault !== "") {
      rejectStream(this.#context, streamId, headers.requestFault);
    } else if (block.isSelfDependent) {
      rejectStream(this.#context, streamId, "the stream depends on itself");
    } else if (endStream && headers.contentLength > 0) {
      rejectStream(this.#context, streamId, "content-length without content");
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

  /** Answers with 431 without the application, which could not keep headers of this size. */
  #answerTooLarge({ streamId, endStream, headers }: HeaderBlock): void {
    const { sender, streams, tooLargeFields = [] } = this.#context;
    this.#countTooLarge(headers);
    // RFC 9113 section 10.5.1, RFC 6585 section 5.
    sender.headers(streamId, encodeHeaderBlock([[":status", "431"], ...tooLargeFields]), true);
    if (endStream) streams.answered(streamId);
    else streams.refuse(streamId, NO_ERROR);
  }

  #countTooLarge({ sizeBytes }: HeaderList): void {
    this.#context.totals.headerListsTooLarge++;
    this.#context.onHeadersTooLarge?.(sizeBytes);
  }

  #onTrailers(stream: ServerStream, trailers: HeaderList, endStream: boolean): void {
    if (stream.isRemoteClosed) {
      failStream(this.#context, stream, STREAM_CLOSED);
    } else if (trailers.isTooLarge) {
      this.#countTooLarge(trailers);
      failStream(this.#context, stream, ENHANCE_YOUR_CALM);
    } else if (!endStream || trailers.trailerFault !== "" || stream.contentLeft > 0) {
      failStream(this.#context, stream, PROTOCOL_ERROR);
    } else {
      stream.receiveEnd(trailers);
    }
  }

  /** Handles HEADERS on a stream that was open before, or was skipped (section 5.1.1). */
  #stray(streamId: number): void {
    const state = this.#context.streams.closedState(streamId);
    if (state === "reset") return;
    if (state === "forgotten") {
      chargeControlFrame(this.#context);
      this.#context.streams.refuse(streamId, STREAM_CLOSED);
      return;
    }
    const code = state === "ended" ? STREAM_CLOSED : PROTOCOL_ERROR;
    throw new ConnectionError(code, "invalid_stream_state", `HEADERS on stream ${streamId}, which is ${state}`);
  }
}
