import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ProcessingMode_BodySendMode as BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { ProtocolConfigurationSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { configuredBodyMode, returnsBody } from "../../src/protocol/body-mode.ts";

const config = create(ProtocolConfigurationSchema, {
  requestBodyMode: BodySendMode.STREAMED,
  responseBodyMode: BodySendMode.FULL_DUPLEX_STREAMED,
});

test("each direction has its own body mode", () => {
  expect(configuredBodyMode(config, "request")).toBe("STREAMED");
  expect(configuredBodyMode(config, "response")).toBe("FULL_DUPLEX_STREAMED");
});

test("a configuration without modes means NONE, as in proto3", () => {
  expect(configuredBodyMode(create(ProtocolConfigurationSchema), "request")).toBe("NONE");
});

test("an absent configuration and an unknown mode are read as undefined", () => {
  expect(configuredBodyMode(undefined, "request")).toBeUndefined();
  for (const unknown of [6, 99, -1]) {
    const later = create(ProtocolConfigurationSchema, { requestBodyMode: unknown as BodySendMode });
    expect(configuredBodyMode(later, "request")).toBeUndefined();
  }
});

test("only full-duplex modes need the bytes back", () => {
  expect(["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "GRPC"] as const).toEqual(
    Object.keys(BodySendMode).filter((name) => Number.isNaN(Number(name))),
  );
  expect(returnsBody("FULL_DUPLEX_STREAMED")).toBe(true);
  expect(returnsBody("GRPC")).toBe(true);
  for (const mode of ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", undefined] as const)
    expect(returnsBody(mode)).toBe(false);
});
