import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from "./error-codes.ts";
import { stripPadding } from "./frame-reader.ts";
import { END_HEADERS, END_STREAM, type Frame, PADDED, PRIORITY_FLAG, readUint31 } from "./frames.ts";
import type { HeaderList } from "./header-list.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import type { FragmentedBlock } from "./hpack-fragments.ts";
import type { Http2Limits } from "./limits.ts";

/** A complete, decoded header block, and what its HEADERS frame said. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  /** The deprecated priority fields made the stream depend on itself (RFC 7540 section 5.3.1). */
  readonly isSelfDependent: boolean;
  readonly headers: HeaderList;
}

/** A block whose end has not come. */
interface OpenBlock extends Omit<HeaderBlock, "headers"> {
  readonly fragments: FragmentedBlock;
}

/**
 * Decodes header blocks out of HEADERS and CONTINUATION (RFC 9113 sections 4.3, 6.2 and 6.10). Each block is decoded
 * before anything else, because all streams share the HPACK state, also refused ones.
 */
export class HeaderBlockReader {
  /** Blocks completed so far. */
  completed = 0;
  readonly #limits: Http2Limits;
  readonly #hpack: HpackDecoder;
  #open: OpenBlock | undefined;
  #continuations = 0;
  #bytes = 0;

  constructor(limits: Http2Limits, hpack: HpackDecoder) {
    this.#limits = limits;
    this.#hpack = hpack;
  }

  /** True while a block has no end: then only its CONTINUATION is allowed. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Reads a HEADERS frame. Returns the block if this frame completes it. */
  onHeaders(frame: Frame): HeaderBlock | undefined {
    const { streamId } = frame;
    if ((streamId & 1) === 0) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", `HEADERS on stream ${streamId}`);
    }
    if ((frame.flags & PADDED) !== 0) stripPadding(frame);
    const isSelfDependent = (frame.flags & PRIORITY_FLAG) !== 0 && takePriority(frame);
    const endStream = (frame.flags & END_STREAM) !== 0;
    this.#bytes = 0;
    this.#count(frame);
    if ((frame.flags & END_HEADERS) !== 0) {
      const headers = this.#hpack.decode(frame.bytes, frame.start, frame.end);
      this.completed++;
      return { streamId, endStream, isSelfDependent, headers };
    }
    const fragments = this.#hpack.begin();
    this.#open = { streamId, endStream, isSelfDependent, fragments };
    this.#continuations = 0;
    fragments.add(frame.bytes, frame.start, frame.end);
    return undefined;
  }

  onContinuation(frame: Frame): HeaderBlock | undefined {
    const open = this.#open;
    if (open === undefined || open.streamId !== frame.streamId) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "CONTINUATION without its HEADERS");
    }
    this.#count(frame);
    this.#continuations++;
    if (this.#continuations > this.#limits.maxContinuations) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "header_block_flood", "too many CONTINUATION frames");
    }
    const { fragments, ...block } = open;
    fragments.add(frame.bytes, frame.start, frame.end);
    if ((frame.flags & END_HEADERS) === 0) return undefined;
    this.#open = undefined;
    this.completed++;
    return { ...block, headers: fragments.finish() };
  }

  #count(frame: Frame): void {
    this.#bytes += frame.end - frame.start;
    if (this.#bytes > this.#limits.maxHeaderBlockBytes) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "header_block_flood", `a header block of over ${this.#bytes} bytes`);
    }
  }
}

/** Removes the five bytes of the deprecated priority signal. Returns true if the stream depends on itself. */
function takePriority(frame: Frame): boolean {
  if (frame.end - frame.start < 5) {
    throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", "HEADERS with half a priority");
  }
  const dependsOn = readUint31(frame.bytes, frame.start);
  frame.start += 5;
  return dependsOn === frame.streamId;
}
