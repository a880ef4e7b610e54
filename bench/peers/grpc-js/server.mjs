// The bench's tasks on @grpc/grpc-js, with protobuf-es for the messages.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answerOf } from "../messages/answer.mjs";

/**
 * @typedef {import("../messages/answer.mjs").ProcessingRequest} ProcessingRequest
 * @typedef {import("../messages/answer.mjs").ProcessingResponse} ProcessingResponse
 */

const answer = answerOf(process.argv[2]);

/** @type {import("@grpc/grpc-js").MethodDefinition<ProcessingRequest, ProcessingResponse>} */
const processMethod = {
  path: "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
  requestStream: true,
  responseStream: true,
  requestSerialize: () => Buffer.alloc(0),
  requestDeserialize: (bytes) => fromBinary(ProcessingRequestSchema, bytes),
  responseSerialize: (message) => Buffer.from(toBinary(ProcessingResponseSchema, message)),
  responseDeserialize: (bytes) => fromBinary(ProcessingResponseSchema, bytes),
};

const server = new Server();
server.addService(
  { process: processMethod },
  {
    process(/** @type {import("@grpc/grpc-js").ServerDuplexStream<ProcessingRequest, ProcessingResponse>} */ call) {
      call.on("data", (message) => call.write(answer(message)));
      call.on("end", () => call.end());
    },
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`listening on 127.0.0.1:${port}\n`);
});
