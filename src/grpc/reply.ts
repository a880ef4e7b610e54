import { encodeHeaderBlock } from "../http2/hpack-encoder.ts";
import type { Http2Stream } from "../http2/http2-stream.ts";
import { GRPC_PREFIX_BYTES, writePrefix } from "../protocol/grpc-framing.ts";
import { GrpcStatus } from "../protocol/grpc-status.ts";
import type { EncodedAnswer } from "../wire/encode-answer.ts";
import { metadataFields, type ReplyMetadata } from "./reply-metadata.ts";
import { encodeGrpcMessage } from "./status.ts";

const HEADERS = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;
const HEADER_BLOCK = encodeHeaderBlock(HEADERS);
const OK_TRAILERS = encodeHeaderBlock([["grpc-status", "0"]]);

const NO_METADATA: ReplyMetadata = [];

/** The answering side of a gRPC call: headers with the first message, messages, and one status at the end. */
export class GrpcReply {
  readonly #stream: Http2Stream;
  #headersSent = false;
  #ended = false;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  /** Sends one message, uncompressed. False if so many bytes wait that the sender should wait too. */
  send(message: EncodedAnswer): boolean {
    if (this.#ended) return true;
    this.#sendHeaders();
    return this.#stream.writeFrame(GRPC_PREFIX_BYTES + message.length, (target, at) => {
      message.copyTo(target, writePrefix(target, at, 0, message.length));
    });
  }

  /**
   * Ends the call, once; what comes later is dropped. Without a message before, the status alone is the reply. Metadata
   * goes with the status.
   */
  end(status: number, message = "", metadata: ReplyMetadata = NO_METADATA): void {
    if (this.#ended) return;
    this.#ended = true;
    if (status === GrpcStatus.OK && message === "" && metadata.length === 0) {
      this.#sendHeaders();
      this.#stream.end(OK_TRAILERS);
      return;
    }
    const trailers = [...statusFields(status, message), ...metadataFields(metadata)];
    if (this.#headersSent) this.#stream.end(encodeHeaderBlock(trailers));
    else this.#stream.respond(encodeHeaderBlock([...HEADERS, ...trailers]), true);
  }

  #sendHeaders(): void {
    if (this.#headersSent) return;
    this.#headersSent = true;
    this.#stream.respond(HEADER_BLOCK);
  }
}

function statusFields(status: number, message: string): [string, string][] {
  const fields: [string, string][] = [["grpc-status", String(status)]];
  if (message !== "") fields.push(["grpc-message", encodeGrpcMessage(message)]);
  // A client that compressed must learn that it must not.
  if (status === GrpcStatus.UNIMPLEMENTED) fields.push(["grpc-accept-encoding", "identity"]);
  return fields;
}
