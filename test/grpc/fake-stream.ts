import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderList } from "../../src/http2/header-list.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { encodeHeaderBlock, type FieldSection } from "../../src/http2/hpack-encoder.ts";
import type { Http2Stream } from "../../src/http2/http2-stream.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { block, type Field } from "../http2/raw-frames.ts";
import { grpcFrame, grpcMessages } from "./framing.ts";

/** The transport's side of one stream. It records what the application does, in order, and is as strict as HTTP/2. */
export class FakeStream implements Http2Stream {
  readonly peer = { address: "192.0.2.7:41522" };
  readonly id = 1;
  isClosed = false;
  queuedBytes = 0;
  /** What the application did, in short, such as `respond`, `message`, `end` and `pause`. */
  readonly log: string[] = [];
  /** The result of write() and writeFrame(); false means that the client does not read. */
  takesMore = true;
  isPaused = false;
  holds = 0;
  /** Received bytes that the application holds, and their limit. */
  heldBytes = 0;
  mayHoldBytes = Number.POSITIVE_INFINITY;
  /** How often the client was charged for a reset. */
  charges = 0;
  /** Headers and trailers sent. */
  readonly fields: Record<string, string>[] = [];
  readonly #body: Buffer[] = [];
  #hasResponded = false;
  #hasEnded = false;

  /** The answers, as a client reads them. */
  get answers(): ProcessingResponse[] {
    return grpcMessages(Buffer.concat(this.#body)).map((bytes) => fromBinary(ProcessingResponseSchema, bytes));
  }

  /** The fields of the end: trailers, or headers if nothing else was sent. */
  get ending(): Record<string, string> {
    if (!this.#hasEnded) throw new Error("the response has not ended");
    return this.fields.at(-1) ?? {};
  }

  respond(headers: Uint8Array | FieldSection, endStream = false): void {
    if (this.#hasResponded) throw new TypeError("headers twice");
    this.#keep(headers);
    if (this.isClosed) return;
    this.#hasResponded = true;
    this.log.push(endStream ? "respond and end" : "respond");
    if (endStream) this.#finish();
  }

  inform(): void {
    this.log.push("inform");
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#mayWrite()) return true;
    this.log.push("message");
    this.#body.push(Buffer.from(bytes));
    return this.takesMore;
  }

  writeFrame(length: number, fill: (target: Uint8Array, offset: number) => void): boolean {
    if (!this.#mayWrite()) return true;
    // The frame is in the middle of a buffer, as in the core, so the test notices bytes that are written outside of the
    // frame.
    const output = Buffer.alloc(length + 20, 0xee);
    fill(output, 10);
    const outside = Buffer.concat([output.subarray(0, 10), output.subarray(10 + length)]);
    if (!outside.every((byte) => byte === 0xee)) throw new Error("written outside of the frame");
    return this.write(output.subarray(10, 10 + length));
  }

  end(trailers?: Uint8Array | FieldSection): void {
    if (!this.#mayWrite()) return;
    if (trailers) this.#keep(trailers);
    this.log.push("end");
    this.#finish();
  }

  reset(code = 8): void {
    if (this.isClosed) return;
    this.log.push(`reset ${code}`);
    this.isClosed = true;
  }

  pause(): void {
    if (!this.isPaused) this.log.push("pause");
    this.isPaused = true;
  }

  resume(): void {
    if (this.isPaused) this.log.push("resume");
    this.isPaused = false;
  }

  holdReceived(bytes: number): boolean {
    if (this.heldBytes + bytes > this.mayHoldBytes) return false;
    this.heldBytes += bytes;
    return true;
  }

  releaseReceived(bytes: number): void {
    this.heldBytes -= bytes;
  }

  receiveRest(): void {
    this.log.push("receiveRest");
  }

  chargeReset(): void {
    this.charges++;
  }

  beginWork(): void {
    this.log.push("beginWork");
  }

  hold(): () => void {
    let held = true;
    this.holds++;
    return () => {
      if (held) this.holds--;
      held = false;
    };
  }

  /** Ends the stream without an action of the application. */
  close(): void {
    this.isClosed = true;
  }

  #mayWrite(): boolean {
    if (this.isClosed || this.#hasEnded) return false;
    if (!this.#hasResponded) throw new TypeError("no headers yet");
    return true;
  }

  #finish(): void {
    this.#hasEnded = true;
    this.isClosed = true;
  }

  #keep(headers: Uint8Array | FieldSection): void {
    const bytes = Buffer.from(headers instanceof Uint8Array ? headers : encodeHeaderBlock(headers));
    const { fields } = new HpackDecoder(resolveHttp2Limits()).decode(bytes, 0, bytes.length);
    if (!this.isClosed) this.fields.push(Object.fromEntries(fields.map(({ name, value }) => [name, value])));
  }
}

/** The headers of a request, as the core decodes them. */
export function headerList(...fields: readonly Field[]): HeaderList {
  const bytes = block(fields);
  return new HpackDecoder(resolveHttp2Limits()).decode(bytes, 0, bytes.length);
}

/** Messages of a Process call, as bytes on the wire. */
export function requestBytes(...messages: readonly ProcessingRequest[]): Buffer {
  return Buffer.concat(messages.map((message) => grpcFrame(toBinary(ProcessingRequestSchema, message))));
}
