// Envoy's messages and their schemas, as Buf generated them: for reading and writing messages by hand.
export * from "../gen/envoy/config/core/v3/base_pb.js";
export * from "../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
export * from "../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
export * from "../gen/envoy/type/v3/http_status_pb.js";
