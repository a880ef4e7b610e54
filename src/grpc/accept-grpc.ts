import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderList } from "../http2/header-list.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../http2/http2-stream.ts";
import { ProcessCall, type ProcessCallOptions } from "./process-call.ts";
import { GrpcReply } from "./reply.ts";
import { GrpcStatus } from "./status.ts";

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

/** Ends a gRPC call of a method that nobody serves with UNIMPLEMENTED; undefined where the request is no gRPC call. */
export function rejectUnknownMethod(stream: Http2Stream, headers: HeaderList): StreamHandler | undefined {
  if (!isGrpc(headers)) return undefined;
  new GrpcReply(stream).end(GrpcStatus.UNIMPLEMENTED, `unknown method ${headers.path.slice(0, 256)}`);
  return NOTHING;
}

function isGrpc(headers: HeaderList): boolean {
  return headers.method === "POST" && GRPC.test(headers.get("content-type") ?? "");
}

const NOTHING: StreamHandler = {
  onData: () => undefined,
  onEnd: () => undefined,
  onReset: () => undefined,
};
