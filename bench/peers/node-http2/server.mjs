// The bench's tasks on node:http2 by hand: the least code between Node's own HTTP/2 and protobuf-es that is gRPC.
import { createServer } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answerOf } from "../messages/answer.mjs";

const PREFIX_BYTES = 5;
const RESPONSE_HEADERS = { ":status": 200, "content-type": "application/grpc" };
const OK = { "grpc-status": "0" };
const answer = answerOf(process.argv[2]);

/**
 * @param {Uint8Array} message
 * @returns {Buffer}
 */
function framed(message) {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/**
 * Reads gRPC's messages out of pieces that end anywhere. Pieces are joined once a message is complete, not before:
 * a message of 64 KiB comes in several.
 *
 * @param {(message: Uint8Array) => void} onMessage
 * @returns {(piece: Buffer) => void}
 */
function messageReader(onMessage) {
  /** @type {Buffer[]} */
  let pieces = [];
  let heldBytes = 0;
  let wantedBytes = PREFIX_BYTES;
  return (piece) => {
    pieces.push(piece);
    heldBytes += piece.length;
    if (heldBytes < wantedBytes) return;
    const bytes = pieces.length === 1 ? piece : Buffer.concat(pieces, heldBytes);
    let start = 0;
    wantedBytes = PREFIX_BYTES;
    while (bytes.length - start >= PREFIX_BYTES) {
      const end = start + PREFIX_BYTES + bytes.readUInt32BE(start + 1);
      wantedBytes = end - start;
      if (bytes.length < end) break;
      onMessage(bytes.subarray(start + PREFIX_BYTES, end));
      start = end;
      wantedBytes = PREFIX_BYTES;
    }
    heldBytes = bytes.length - start;
    pieces = heldBytes === 0 ? [] : [bytes.subarray(start)];
  };
}

const server = createServer();
server.on("stream", (stream) => {
  stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(OK));
  // Envoy resets every stream once it is done; that is not an error.
  stream.on("error", () => stream.close());
  stream.on(
    "data",
    messageReader((bytes) => {
      const response = answer(fromBinary(ProcessingRequestSchema, bytes));
      stream.write(framed(toBinary(ProcessingResponseSchema, response)));
    }),
  );
  stream.on("end", () => stream.end());
});
server.listen(0, "127.0.0.1", () => {
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`listening on 127.0.0.1:${address.port}\n`);
});
