import { ScalarType } from "@bufbuild/protobuf";
import { file_envoy_config_core_v3_base } from "../../gen/envoy/config/core/v3/base_pb.js";
import { file_envoy_extensions_filters_http_ext_proc_v3_processing_mode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { file_envoy_service_ext_proc_v3_external_processor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { file_envoy_type_v3_http_status } from "../../gen/envoy/type/v3/http_status_pb.js";
import { file_grpc_health_v1_health } from "../../gen/grpc/health/v1/health_pb.js";
import { file_grpc_reflection_v1_reflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { file_grpc_reflection_v1alpha_reflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";

/**
 * What descriptors say, in the shape that scripts/protos-oracle/main.go prints: everything keyed by name, so that two
 * tables can be compared and a committed one shows changes line by line.
 *
 * @typedef {{ number: number, label: string, mapKey?: string, type: string, typeName?: string, oneof?: string,
 *   jsonName: string, deprecated?: boolean }} FieldEntry
 * @typedef {{ deprecated?: boolean, fields: Record<string, FieldEntry> }} MessageEntry
 * @typedef {{ number: number, deprecated?: boolean }} ValueEntry
 * @typedef {{ deprecated?: boolean, values: Record<string, ValueEntry> }} EnumEntry
 * @typedef {{ input: string, output: string, clientStreaming: boolean, serverStreaming: boolean,
 *   deprecated?: boolean }} MethodEntry
 * @typedef {{ deprecated?: boolean, methods: Record<string, MethodEntry> }} ServiceEntry
 * @typedef {{ package: string, messages: Record<string, MessageEntry>, enums: Record<string, EnumEntry>,
 *   services: Record<string, ServiceEntry> }} FileEntry
 * @typedef {Record<string, FileEntry>} FileTable
 * @typedef {{ modules: Record<string, string>, files: FileTable }} UpstreamTable
 */

/** The generated files that have an upstream: all but our own extproc/. */
export const mirroredFiles = [
  file_envoy_config_core_v3_base,
  file_envoy_extensions_filters_http_ext_proc_v3_processing_mode,
  file_envoy_service_ext_proc_v3_external_processor,
  file_envoy_type_v3_http_status,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
];

/**
 * Describes files as the oracle does. Map entry types and the oneof that `optional` implies are left out on both sides.
 *
 * @param {readonly import("@bufbuild/protobuf").DescFile[]} files
 * @returns {FileTable}
 */
export function describeFiles(files) {
  return Object.fromEntries(files.map((file) => [`${file.name}.proto`, describeFile(file)]));
}

/**
 * @param {import("@bufbuild/protobuf").DescFile} file
 * @returns {FileEntry}
 */
function describeFile(file) {
  const messages = file.messages.flatMap(withNested);
  const enums = [...file.enums, ...messages.flatMap((message) => message.nestedEnums)];
  return {
    package: file.proto.package,
    messages: Object.fromEntries(
      messages.map((message) => [
        message.typeName,
        {
          ...deprecation(message),
          fields: Object.fromEntries(message.fields.map((field) => [field.name, describeField(field)])),
        },
      ]),
    ),
    enums: Object.fromEntries(
      enums.map((type) => [
        type.typeName,
        {
          ...deprecation(type),
          values: Object.fromEntries(
            type.values.map((value) => [value.name, { number: value.number, ...deprecation(value) }]),
          ),
        },
      ]),
    ),
    services: Object.fromEntries(
      file.services.map((service) => [
        service.typeName,
        {
          ...deprecation(service),
          methods: Object.fromEntries(service.methods.map((method) => [method.name, describeMethod(method)])),
        },
      ]),
    ),
  };
}

/**
 * @param {import("@bufbuild/protobuf").DescMessage} message
 * @returns {import("@bufbuild/protobuf").DescMessage[]}
 */
function withNested(message) {
  return [message, ...message.nestedMessages.flatMap(withNested)];
}

/**
 * @param {import("@bufbuild/protobuf").DescField} field
 * @returns {FieldEntry}
 */
function describeField(field) {
  return {
    number: field.number,
    ...describeType(field),
    ...(field.oneof && { oneof: field.oneof.name }),
    jsonName: field.jsonName,
    ...deprecation(field),
  };
}

/**
 * @param {import("@bufbuild/protobuf").DescField} field
 * @returns {Pick<FieldEntry, "label" | "mapKey" | "type" | "typeName">}
 */
function describeType(field) {
  const singular = field.proto.proto3Optional ? "optional" : "singular";
  const label = field.fieldKind === "map" ? "map" : field.fieldKind === "list" ? "repeated" : singular;
  const mapKey = field.fieldKind === "map" ? { mapKey: scalarName(field.mapKey) } : {};
  if (field.message) return { label, ...mapKey, type: "message", typeName: field.message.typeName };
  if (field.enum) return { label, ...mapKey, type: "enum", typeName: field.enum.typeName };
  return { label, ...mapKey, type: scalarName(field.scalar) };
}

/** @param {ScalarType} scalar */
function scalarName(scalar) {
  return ScalarType[scalar].toLowerCase();
}

/**
 * @param {import("@bufbuild/protobuf").DescMethod} method
 * @returns {MethodEntry}
 */
function describeMethod(method) {
  return {
    input: method.input.typeName,
    output: method.output.typeName,
    clientStreaming: ["client_streaming", "bidi_streaming"].includes(method.methodKind),
    serverStreaming: ["server_streaming", "bidi_streaming"].includes(method.methodKind),
    ...deprecation(method),
  };
}

/** @param {{ readonly deprecated: boolean }} descriptor */
function deprecation(descriptor) {
  return descriptor.deprecated ? { deprecated: true } : {};
}
