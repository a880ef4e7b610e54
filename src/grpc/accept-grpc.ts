import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderList } from "../http2/header-list.ts";
import type { AcceptStream } from "../http2/http2-stream.ts";
import { ProcessCall, type ProcessCallOptions } from "./process-call.ts";

const PROCESS_PATH = `/${ExternalProcessor.typeName}/${ExternalProcessor.method.process.name}`;

/** The media types of gRPC with protobuf messages; gRPC-Web and JSON are Connect's. */
const GRPC = /^application\/grpc(?:\+proto)?(?:;|$)/;

/** Serves `ExternalProcessor/Process` over gRPC, and leaves everything else to `otherwise`. */
export function acceptGrpc(options: ProcessCallOptions, otherwise: AcceptStream): AcceptStream {
  return (stream, headers) =>
    headers.path === PROCESS_PATH && isGrpc(headers)
      ? new ProcessCall(stream, headers, options)
      : otherwise(stream, headers);
}

function isGrpc(headers: HeaderList): boolean {
  const contentType = headers.get("content-type") ?? "";
  return headers.method === "POST" && (contentType === "application/grpc" || GRPC.test(contentType));
}
