import { readFileSync } from "node:fs";
import { clearField, clone, create, createFileRegistry, type DescFile } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  EnumValueDescriptorProtoSchema,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  OneofDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { file_envoy_service_ext_proc_v3_external_processor as extProcFile } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { file_envoy_type_v3_http_status as statusFile } from "../../gen/envoy/type/v3/http_status_pb.js";
import { compareTables, typesLeftOut } from "./compare-tables.mjs";
import { describeFiles, type FileTable, type UpstreamTable } from "./descriptor-table.mjs";

const upstream = (JSON.parse(readFileSync(new URL("./upstream.json", import.meta.url), "utf8")) as UpstreamTable).files;
const service = "envoy.service.ext_proc.v3";

/** Rebuilds a generated file's descriptors after a change to their source, as if the .proto had said so. */
function altered(file: DescFile, change: (proto: FileDescriptorProto) => void): FileTable {
  const proto = clone(FileDescriptorProtoSchema, file.proto);
  change(proto);
  const imported = new Map<string, DescFile>();
  const collect = (dependencies: readonly DescFile[]) => {
    for (const dependency of dependencies) {
      imported.set(dependency.proto.name, dependency);
      collect(dependency.dependencies);
    }
  };
  collect(file.dependencies);
  const rebuilt = createFileRegistry(proto, (path) => imported.get(path)).getFile(proto.name);
  return describeFiles([found(rebuilt, proto.name)]);
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`no ${name} in the descriptors`);
  return value;
}

function message(proto: FileDescriptorProto, name: string): DescriptorProto {
  return found(
    proto.messageType.find((candidate) => candidate.name === name),
    name,
  );
}

function field(parent: DescriptorProto, name: string): FieldDescriptorProto {
  return found(
    parent.field.find((candidate) => candidate.name === name),
    name,
  );
}

/** The differences after a change to `HttpBody`. */
function alteredBody(change: (body: DescriptorProto) => void): string[] {
  return compareTables(
    altered(extProcFile, (proto) => change(message(proto, "HttpBody"))),
    upstream,
  );
}

/** The differences after a change to the enum `StatusCode`. */
function alteredStatus(change: (values: FileDescriptorProto["enumType"][number]["value"]) => void): string[] {
  return compareTables(
    altered(statusFile, (proto) => change(found(proto.enumType[0], "StatusCode").value)),
    upstream,
  );
}

test("descriptors that were rebuilt unchanged are not a difference", () => {
  expect(alteredBody(() => {})).toEqual([]);
  expect(alteredStatus(() => {})).toEqual([]);
});

describe("fields", () => {
  test("a field with a wrong number is reported", () => {
    expect(
      alteredBody((body) => {
        field(body, "end_of_stream").number = 9;
      }),
    ).toEqual([`${service}.HttpBody.end_of_stream: number 9, upstream 2`]);
  });

  test("a field with a wrong type is reported", () => {
    expect(
      alteredBody((body) => {
        field(body, "end_of_stream").type = FieldDescriptorProto_Type.UINT32;
      }),
    ).toEqual([`${service}.HttpBody.end_of_stream: type uint32, upstream bool`]);
  });

  test("a field with another message as its type is reported", () => {
    const table = altered(extProcFile, (proto) => {
      field(message(proto, "HttpTrailers"), "trailers").typeName = ".envoy.config.core.v3.Metadata";
    });
    expect(compareTables(table, upstream)).toEqual([
      `${service}.HttpTrailers.trailers: typeName envoy.config.core.v3.Metadata, upstream envoy.config.core.v3.HeaderMap`,
    ]);
  });

  test("a map field with another type of value is reported", () => {
    const table = altered(extProcFile, (proto) => {
      const entry = found(message(proto, "ProcessingRequest").nestedType.at(-1), "AttributesEntry");
      field(entry, "value").typeName = ".google.protobuf.Any";
    });
    expect(compareTables(table, upstream)).toEqual([
      `${service}.ProcessingRequest.attributes: typeName google.protobuf.Any, upstream google.protobuf.Struct`,
    ]);
  });

  test("a field that is repeated here and singular upstream is reported", () => {
    expect(
      alteredBody((body) => {
        field(body, "body").label = FieldDescriptorProto_Label.REPEATED;
      }),
    ).toEqual([`${service}.HttpBody.body: label repeated, upstream singular`]);
  });

  test("a field that is optional here and has no presence upstream is reported", () => {
    expect(
      alteredBody((body) => {
        body.oneofDecl.push(create(OneofDescriptorProtoSchema, { name: "_body" }));
        Object.assign(field(body, "body"), { proto3Optional: true, oneofIndex: 0 });
      }),
    ).toEqual([`${service}.HttpBody.body: label optional, upstream singular`]);
  });

  test("a field outside of its oneof is reported", () => {
    const table = altered(extProcFile, (proto) => {
      const parent = message(proto, "ProcessingResponse");
      clearField(field(parent, "immediate_response"), FieldDescriptorProtoSchema.field.oneofIndex);
    });
    expect(compareTables(table, upstream)).toEqual([
      `${service}.ProcessingResponse.immediate_response: oneof unset, upstream response`,
    ]);
  });

  test("a field with another JSON name is reported", () => {
    expect(
      alteredBody((body) => {
        field(body, "end_of_stream").jsonName = "eos";
      }),
    ).toEqual([`${service}.HttpBody.end_of_stream: jsonName eos, upstream endOfStream`]);
  });

  test("a field that is deprecated only here is reported", () => {
    expect(
      alteredBody((body) => {
        field(body, "body").options = create(FieldOptionsSchema, { deprecated: true });
      }),
    ).toEqual([`${service}.HttpBody.body: deprecated true, upstream unset`]);
  });

  test("a field that is missing here is reported", () => {
    expect(
      alteredBody((body) => {
        body.field = body.field.filter(({ name }) => name !== "drain_complete");
      }),
    ).toEqual([
      `${service}.HttpBody.drain_complete: missing, upstream has number 5, label singular, type bool, jsonName drainComplete`,
    ]);
  });

  test("a field that upstream does not have is reported", () => {
    expect(
      alteredBody((body) => {
        body.field.push(
          create(FieldDescriptorProtoSchema, {
            name: "checksum",
            number: 6,
            label: FieldDescriptorProto_Label.OPTIONAL,
            type: FieldDescriptorProto_Type.BYTES,
            jsonName: "checksum",
          }),
        );
      }),
    ).toEqual([
      `${service}.HttpBody.checksum: not in upstream, ours is number 6, label singular, type bytes, jsonName checksum`,
    ]);
  });
});

describe("enum values", () => {
  test("an enum value with a wrong number is reported", () => {
    expect(
      alteredStatus((values) => {
        const forbidden = values.find(({ name }) => name === "Forbidden");
        found(forbidden, "Forbidden").number = 499;
      }),
    ).toEqual(["envoy.type.v3.StatusCode.Forbidden: number 499, upstream 403"]);
  });

  test("an enum value that is missing here is reported", () => {
    expect(alteredStatus((values) => values.pop())).toEqual([
      "envoy.type.v3.StatusCode.NetworkAuthenticationRequired: missing, upstream has number 511",
    ]);
  });

  test("an enum value that upstream does not have is reported", () => {
    expect(
      alteredStatus((values) => values.push(create(EnumValueDescriptorProtoSchema, { name: "Teapot", number: 418 }))),
    ).toEqual(["envoy.type.v3.StatusCode.Teapot: not in upstream, ours is number 418"]);
  });
});

describe("types and services", () => {
  test("a method that streams differently from upstream is reported by its name", () => {
    const table = altered(extProcFile, (proto) => {
      found(proto.service[0]?.method[0], "Process").clientStreaming = false;
    });
    expect(compareTables(table, upstream)).toEqual([
      `${service}.ExternalProcessor.Process: clientStreaming false, upstream true`,
    ]);
  });

  test("a message that only we have, or only upstream has, is reported", () => {
    const table = altered(statusFile, (proto) => {
      message(proto, "HttpStatus").name = "HttpState";
    });
    expect(compareTables(table, upstream)).toEqual(["envoy.type.v3.HttpState: not in upstream"]);
    expect(typesLeftOut(table, upstream)).toEqual(["envoy.type.v3.HttpStatus"]);
  });

  test("a file in another package, or one that upstream does not have, is reported by its path", () => {
    const [path, file] = found(Object.entries(describeFiles([statusFile]))[0], "file");
    expect(compareTables({ [path]: { ...file, package: "envoy.type.v4" } }, upstream)).toEqual([
      `${path}: package envoy.type.v4, upstream envoy.type.v3`,
    ]);
    expect(compareTables({ "envoy/type/v4/http_status.proto": file }, upstream)).toEqual([
      "envoy/type/v4/http_status.proto: not in upstream",
    ]);
  });

  test("types that upstream has and we do not define are not a difference", () => {
    const newer = structuredClone(upstream);
    found(newer["envoy/type/v3/http_status.proto"], "file").messages["envoy.type.v3.Reason"] = { fields: {} };
    const ours = describeFiles([statusFile]);
    expect(compareTables(ours, newer)).toEqual([]);
    expect(typesLeftOut(ours, newer)).toEqual(["envoy.type.v3.Reason"]);
  });
});
