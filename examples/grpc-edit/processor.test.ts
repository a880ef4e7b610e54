import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GreetRequestSchema, GreetResponseSchema } from "./greeter_pb.js";
import grpcEdit from "./processor.js";

const GRPC = { "content-type": "application/grpc" };
const STATUS = { "grpc-status": "0" };
const CALL = {
  path: "/example.greeter.v1.GreeterService/GreetMany",
  authority: "blue.example.test",
  protocol: "http2",
  chunkIntervalMs: 5,
} as const;

/** A message as it is on the wire: a flag, the length, the message itself. */
function framed(message: Uint8Array, compressed = false): Buffer {
  const bytes = compressed ? gzipSync(message) : message;
  const prefix = Buffer.alloc(5, Number(compressed));
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

function unframed(body: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(body);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    const message = bytes.subarray(at + 5, end);
    messages.push(bytes[at] === 1 ? gunzipSync(message) : message);
    at = end;
  }
  return messages;
}

const request = (name: string, compressed = false) =>
  framed(toBinary(GreetRequestSchema, create(GreetRequestSchema, { name, tenant: "forged" })), compressed);
const response = (text: string, debug: string) =>
  framed(toBinary(GreetResponseSchema, create(GreetResponseSchema, { text, debug })));
const requestsIn = (body: Uint8Array | undefined) =>
  unframed(body ?? new Uint8Array()).map((bytes) => fromBinary(GreetRequestSchema, bytes));
const responsesIn = (body: Uint8Array) => unframed(body).map((bytes) => fromBinary(GreetResponseSchema, bytes));

describe.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const trailerMode = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP";
  const envoy = simulate(grpcEdit, {
    envoy: {
      processingMode: {
        requestBodyMode: mode,
        requestTrailerMode: trailerMode,
        responseBodyMode: mode,
        responseTrailerMode: trailerMode,
      },
    },
  });

  test("every message of a stream is edited, in any chunks", async () => {
    const up = Buffer.concat([request("ada"), request("é".repeat(40)), request("bob")]);
    const down = Buffer.concat([response("hi", "host 7"), response("ho", "")]);
    await fc.assert(
      fc.asyncProperty(fc.nat(up.length - 1), fc.nat(down.length - 1), async (upAt, downAt) => {
        const sent = await envoy.send({
          ...CALL,
          headers: GRPC,
          chunks: [up.subarray(0, upAt), up.subarray(upAt)],
          response: { chunks: [down.subarray(0, downAt), down.subarray(downAt)], headers: GRPC, trailers: STATUS },
        });
        expect({ faults: sent.faults, warnings: sent.warnings }).toEqual({ faults: [], warnings: [] });
        expect(requestsIn(sent.request?.bytes)).toMatchObject([
          { name: "ada", tenant: "blue" },
          { name: "é".repeat(40), tenant: "blue" },
          { name: "bob", tenant: "blue" },
        ]);
        expect(responsesIn(sent.response.bytes)).toMatchObject([
          { text: "hi", debug: "" },
          { text: "ho", debug: "" },
        ]);
        expect(sent.response.trailers).toEqual(STATUS);
      }),
      { numRuns: 40 },
    );
  });

  test("a compressed message is edited and stays compressed", async () => {
    const headers = { ...GRPC, "grpc-encoding": "gzip" };
    const sent = await envoy.send({ ...CALL, headers, chunks: [request("ada", true)] });
    expect(sent.request?.bytes[0]).toBe(1);
    expect(requestsIn(sent.request?.bytes)).toMatchObject([{ name: "ada", tenant: "blue" }]);
  });

  test("a rejected request gets a gRPC status", async () => {
    const sent = await envoy.send({ ...CALL, headers: GRPC, chunks: [request("")] });
    expect([sent.request?.complete ?? false, sent.response.headers["grpc-status"]]).toEqual([false, "3"]);
  });

  test("calls of other methods pass", async () => {
    const chunks = [request("ada")];
    const sent = await envoy.send({ ...CALL, path: "/example.other.v1.Other/Call", headers: GRPC, chunks });
    expect(requestsIn(sent.request?.bytes)).toMatchObject([{ tenant: "forged" }]);
  });

  test("bytes that are not a message do not pass", async () => {
    const sent = await envoy.send({ ...CALL, headers: GRPC, chunks: [request("ada").subarray(0, 9)] });
    expect(sent.faults).toMatchObject([{ code: "grpc_message_malformed" }]);
    expect(sent.request?.complete ?? false).toBe(false);
  });
});
