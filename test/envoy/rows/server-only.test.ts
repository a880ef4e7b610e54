import { readFileSync } from "node:fs";
import {
  create,
  type DescField,
  equals,
  fromBinary,
  fromJson,
  type JsonObject,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import {
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../../src/builtin/hello.ts";
import type { HttpHeaders } from "../../../src/index.ts";
import { defineProcessor } from "../../../src/processor/definition.ts";
import { requestBody, requestHeaders, responseHeaders } from "../../network/messages.ts";
import { http2Session, openRawCall } from "../../network/raw-grpc.ts";
import { mirroredFiles, type UpstreamTable } from "../../protos/descriptor-table.mjs";
import { sampleMessage, sampleRegistry } from "../../protos/sample-json.ts";
import { serverForTest } from "../../server/start-server.ts";

test("row 117: a request without a member of its oneof is ignored, wherever it comes", async () => {
  const started = await serverForTest(hello);
  const call = openRawCall(http2Session(started.port));
  const unset = create(ProcessingRequestSchema, {});
  // What later releases of Envoy send on its own: an update of a window.
  const windowUpdate = create(ProcessingRequestSchema, {
    clientWindowUpdate: { windowIncrementSidestreamToUpstream: 1n },
  });
  call.send(unset, requestHeaders(), windowUpdate, unset, responseHeaders(), unset);
  call.stream.end();
  const answers = [await call.next(), await call.next(), await call.next()];
  expect(answers.map((answer) => answer?.response.case)).toEqual(["requestHeaders", "responseHeaders", undefined]);
  expect(await call.status).toBe("0");
  expect(started.logLines().filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
});

test("row 118: unknown fields and enum numbers of the future are not a mistake, and survive a round trip", async () => {
  const seen: HttpHeaders[] = [];
  const keep = defineProcessor({ name: "keep", requestHeaders: (headers) => void seen.push(headers) });
  const started = await serverForTest(keep);
  const call = openRawCall(http2Session(started.port));
  // The field's bytes: a length, and as many.
  const future = { no: 4711, wireType: WireType.LengthDelimited, data: Uint8Array.of(3, 1, 2, 3) };
  const request = requestHeaders([["x-a", "1"]], false, {
    protocolConfig: { requestBodyMode: 77 as never, responseBodyMode: 0 },
  });
  request.$unknown = [future];
  const { value } = request.request;
  if (value) value.$unknown = [future];
  call.send(request, responseHeaders());
  expect((await call.next())?.response.case).toBe("requestHeaders");
  expect((await call.next())?.response.case).toBe("responseHeaders");
  expect(seen[0]?.$unknown).toEqual([future]);

  const bytes = toBinary(ProcessingRequestSchema, request);
  const again = fromBinary(ProcessingRequestSchema, bytes);
  expect(again.protocolConfig?.requestBodyMode).toBe(77);
  expect(toBinary(ProcessingRequestSchema, again)).toEqual(bytes);

  const response: ProcessingResponse = create(ProcessingResponseSchema, {
    response: { case: "immediateResponse", value: { status: { code: 418 as never } } },
  });
  response.$unknown = [future];
  const copy = fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, response));
  expect(equals(ProcessingResponseSchema, copy, response)).toBe(true);
  expect(copy.$unknown).toEqual([future]);
});

test("row 119: a body over the limit that a handler must see is 413, with one log line", async () => {
  const maxMessageBytes = 64 * 1024;
  const processor = defineProcessor({ name: "p", requestBody: { read: "inspect", chunk: () => undefined } });
  const started = await serverForTest(processor, { maxMessageBytes });
  const session = http2Session(started.port);
  const call = openRawCall(session);
  call.send(requestHeaders(), requestBody(new Uint8Array(maxMessageBytes + 1)));
  expect((await call.next())?.response.case).toBe("requestHeaders");
  expect((await call.next())?.response).toMatchObject({ case: "immediateResponse", value: { status: { code: 413 } } });
  expect(await call.status).toBe("0");
  const complaints = started.logLines().filter(({ level }) => level === "warn" || level === "error");
  expect(complaints).toMatchObject([{ level: "warn", fault: "message_too_large" }]);
  expect(started.logText()).not.toContain("    at ");

  const next = openRawCall(session);
  next.send(requestHeaders());
  expect((await next.next())?.response.case).toBe("requestHeaders");
});

const upstream = JSON.parse(
  readFileSync(new URL("../../protos/upstream.json", import.meta.url), "utf8"),
) as UpstreamTable;

test("row 120: JSON of every message has the canonical names of Envoy's own descriptors, and comes back", () => {
  const upstreamMessages: UpstreamTable["files"][string]["messages"] = Object.assign(
    {},
    ...Object.values(upstream.files).map(({ messages }) => messages),
  );
  const canonicalName = (field: DescField): string =>
    upstreamMessages[field.parent.typeName]?.fields[field.name]?.jsonName ?? `missing ${field.name}`;
  const descriptors = mirroredFiles.flatMap(({ messages }) =>
    messages.flatMap((desc) => [desc, ...desc.nestedMessages]),
  );
  for (const desc of descriptors) {
    const names = new Set<string>();
    for (let member = 0; member < Math.max(1, ...desc.oneofs.map((oneof) => oneof.fields.length)); member++) {
      const canonical = sampleMessage(desc, canonicalName, member) as JsonObject;
      const message = fromJson(desc, canonical, { registry: sampleRegistry });
      const printed = toJson(desc, fromBinary(desc, toBinary(desc, message)), { registry: sampleRegistry });
      expect(printed, desc.typeName).toEqual(canonical);
      for (const name of Object.keys(canonical)) names.add(name);
    }
    expect(names, desc.typeName).toEqual(new Set(desc.fields.map(canonicalName)));
  }
  expect(descriptors.length).toBeGreaterThan(20);
});
