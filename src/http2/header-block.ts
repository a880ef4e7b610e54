import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from "./error-codes.ts";
import { stripPadding } from "./frame-reader.ts";
import { END_HEADERS, END_STREAM, type Frame, PADDED, PRIORITY_FLAG, readUint31 } from "./frames.ts";
import type { Http2Limits } from "./limits.ts";

/** A complete header block, `bytes[start..end)`, and what its HEADERS frame said. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  /** The deprecated priority fields made the stream depend on itself (RFC 7540 section 5.3.1). */
  readonly isSelfDependent: boolean;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Puts header blocks together from HEADERS and CONTINUATION (RFC 9113 sections 4.3, 6.2 and 6.10). */
export class HeaderBlockAssembler {
  /** Blocks completed so far. */
  completed = 0;
  readonly #limits: Http2Limits;
  #open: HeaderBlock | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
  }

  /** A block is unfinished: nothing but its CONTINUATION may come. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** The block, when this frame has all of it. */
  onHeaders(frame: Frame): HeaderBlock | undefined {
    if ((frame.streamId & 1) === 0) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", `HEADERS on stream ${frame.streamId}`);
    }
    if ((frame.flags & PADDED) !== 0) stripPadding(frame);
    const isSelfDependent = (frame.flags & PRIORITY_FLAG) !== 0 && takePriority(frame);
    const block = {
      streamId: frame.streamId,
      endStream: (frame.flags & END_STREAM) !== 0,
      isSelfDependent,
      bytes: frame.bytes,
      start: frame.start,
      end: frame.end,
    };
    this.#checkSize(frame.end - frame.start);
    if ((frame.flags & END_HEADERS) !== 0) {
      this.completed++;
      return block;
    }
    this.#open = block;
    this.#parts = [copyOf(frame)];
    this.#bytes = frame.end - frame.start;
    return undefined;
  }

  onContinuation(frame: Frame): HeaderBlock | undefined {
    const open = this.#open;
    if (open === undefined || open.streamId !== frame.streamId) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "CONTINUATION without its HEADERS");
    }
    this.#bytes += frame.end - frame.start;
    this.#checkSize(this.#bytes);
    this.#parts.push(copyOf(frame));
    if (this.#parts.length - 1 > this.#limits.maxContinuations) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "header_block_flood", "too many CONTINUATION frames");
    }
    if ((frame.flags & END_HEADERS) === 0) return undefined;
    const bytes = Buffer.concat(this.#parts);
    this.#open = undefined;
    this.#parts = [];
    this.completed++;
    return { ...open, bytes, start: 0, end: bytes.length };
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#limits.maxHeaderBlockBytes) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "header_block_flood", `a header block of over ${bytes} bytes`);
    }
  }
}

/** The rest of the block may be long in coming: the socket's buffer shall not wait for it. */
function copyOf(frame: Frame): Buffer {
  return Buffer.from(frame.bytes.subarray(frame.start, frame.end));
}

/** Takes the five bytes of the deprecated priority signal off; true when the stream depends on itself. */
function takePriority(frame: Frame): boolean {
  if (frame.end - frame.start < 5) {
    throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", "HEADERS with half a priority");
  }
  const dependsOn = readUint31(frame.bytes, frame.start);
  frame.start += 5;
  return dependsOn === frame.streamId;
}
