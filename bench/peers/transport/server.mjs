// Our HTTP/2 core alone: it counts gRPC's messages without reading them and sends answers that were made beforehand.
// What it costs is what is left for everything else.
import { createServer } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { headerMessages, rightAnswers } from "../../harness/messages.mjs";

/** @type {typeof import("../../../src/http2/connections.ts")} */
const { Http2Connections } = await import(new URL("../../../dist/http2/connections.js", import.meta.url).href);
/** @type {typeof import("../../../src/http2/hpack-encoder.ts")} */
const { encodeHeaderBlock } = await import(new URL("../../../dist/http2/hpack-encoder.js", import.meta.url).href);
/** @type {typeof import("../../../src/http2/limits.ts")} */
const { resolveHttp2Limits } = await import(new URL("../../../dist/http2/limits.js", import.meta.url).href);

const PREFIX_BYTES = 5;
const HEADERS = encodeHeaderBlock([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const TRAILERS = encodeHeaderBlock([["grpc-status", "0"]]);
const ANSWERS = rightAnswers("hello", headerMessages()).map((message) => {
  const bytes = toBinary(ProcessingResponseSchema, message);
  const frame = new Uint8Array(PREFIX_BYTES + bytes.length);
  new DataView(frame.buffer).setUint32(1, bytes.length);
  frame.set(bytes, PREFIX_BYTES);
  return frame;
});

/** A stream's messages, counted. */
class CannedStream {
  /** @type {import("../../../src/http2/http2-stream.ts").Http2Stream} */
  #stream;
  #answered = 0;
  /** How much of a message's prefix is there, and its length as far as it is known. */
  #prefixBytes = 0;
  #length = 0;

  /** @param {import("../../../src/http2/http2-stream.ts").Http2Stream} stream */
  constructor(stream) {
    this.#stream = stream;
    stream.respond(HEADERS);
  }

  /**
   * @param {Buffer} bytes
   * @param {number} start
   * @param {number} end
   */
  onData(bytes, start, end) {
    let at = start;
    while (at < end) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        // The first byte says whether the message is compressed, the others are its length.
        if (this.#prefixBytes++ > 0) this.#length = this.#length * 256 + Number(bytes[at]);
        at++;
        continue;
      }
      const piece = Math.min(this.#length, end - at);
      this.#length -= piece;
      at += piece;
      if (this.#length === 0) this.#answer();
    }
  }

  #answer() {
    this.#prefixBytes = 0;
    const answer = ANSWERS[this.#answered++];
    if (answer !== undefined) this.#stream.writeFrame(answer.length, (target, offset) => target.set(answer, offset));
  }

  onEnd() {
    this.#stream.end(TRAILERS);
  }

  onReset() {}
}

const connections = new Http2Connections({
  accept: (stream) => new CannedStream(stream),
  limits: resolveHttp2Limits(),
});
const server = createServer({ noDelay: true }, (socket) => connections.adopt(socket));
server.listen(0, "127.0.0.1", () => {
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`listening on 127.0.0.1:${address.port}\n`);
});
