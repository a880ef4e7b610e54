// The transactions whose messages are followed: frames as Envoy sends them, with identifier 0, and how many answers each gets.
import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { frame, grpcMessage, headers, TYPE } from "../soak/frames.mjs";
import { CALL, OPEN } from "../soak/messages.mjs";

const utf8 = new TextEncoder();
const HEADER_LIST = [
  [":authority", "shop.example.com"],
  [":path", "/api/orders"],
  [":method", "POST"],
  [":scheme", "https"],
  ["content-type", "text/plain"],
].map(([key = "", value]) => ({ key, rawValue: utf8.encode(value) }));
const FULL_DUPLEX_STREAMED = 4;

/** Request headers without a body. The last frames are those that are followed. */
export const HEADERS = { frames: [OPEN], answers: [1] };

/** Request headers and two chunks of a body that a handler changes. The second chunk is followed. */
export const BODY = {
  frames: [
    Buffer.concat([
      headers(0, CALL),
      data(
        { case: "requestHeaders", value: { headers: { headers: HEADER_LIST }, endOfStream: false } },
        { requestBodyMode: FULL_DUPLEX_STREAMED, responseBodyMode: 0 },
      ),
    ]),
    chunk(),
    chunk(),
  ],
  answers: [1, 1, 1],
};

function chunk() {
  return data({ case: "requestBody", value: { body: Buffer.alloc(1000, 97), endOfStream: false } });
}

/**
 * @param {any} request
 * @param {any} [protocolConfig]
 */
function data(request, protocolConfig) {
  const message = create(ProcessingRequestSchema, { request, protocolConfig });
  return frame(TYPE.data, { id: 0, payload: grpcMessage(toBinary(ProcessingRequestSchema, message)) });
}
