import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckRequestSchema } from "../../../gen/grpc/health/v1/health_pb.js";
import { defineProcessor, setDynamicMetadata } from "../../../src/index.ts";
import { MODES, sendIn } from "./upper.ts";

const processor = defineProcessor({
  name: "p",
  grpc: {
    service: Health,
    methods: {
      check: {
        request: (message) => ({ ...message, service: `${message.service}!` }),
        response: () => setDynamicMetadata("p", { seen: true }),
      },
    },
  },
});

function framed(service: string, compressed = false): Buffer {
  const plain = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
  const message = compressed ? gzipSync(plain) : plain;
  const prefix = Buffer.alloc(5);
  prefix[0] = Number(compressed);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function unframed(bytes: Uint8Array): string[] {
  const services: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + Buffer.from(bytes).readUInt32BE(at + 1);
    const message = bytes.subarray(at + 5, end);
    services.push(fromBinary(HealthCheckRequestSchema, bytes[at] === 1 ? gunzipSync(message) : message).service);
    at = end;
  }
  return services;
}

const call = (chunks: readonly Uint8Array[], headers = {}) =>
  ({
    path: "/grpc.health.v1.Health/Check",
    protocol: "http2",
    chunks,
    headers: { "content-type": "application/grpc+proto", ...headers },
  }) as const;

describe.each(MODES.filter((mode) => mode !== "NONE"))("gRPC messages in %s", (mode) => {
  test.each([1, 4, 7, 12])("gRPC messages are changed one by one, cut at %d", async (at) => {
    const body = Buffer.concat([framed("one"), framed("two")]);
    const { request, faults } = await sendIn(processor, mode, {
      request: call([body.subarray(0, at), body.subarray(at)]),
    });
    expect(faults).toEqual([]);
    expect(unframed(request?.bytes ?? body)).toEqual(["one!", "two!"]);
  });

  test("gRPC messages that are compressed stay compressed", async () => {
    const { request, faults } = await sendIn(processor, mode, {
      request: call([framed("one", true)], { "grpc-encoding": "gzip" }),
    });
    expect(faults).toEqual([]);
    expect(request?.bytes[0]).toBe(1);
    expect(unframed(request?.bytes ?? new Uint8Array())).toEqual(["one!"]);
  });

  test("gRPC messages pass unseen if no handler names their method", async () => {
    const { request } = await sendIn(processor, mode, { request: { ...call([framed("one")]), path: "/other" } });
    expect(unframed(request?.bytes ?? new Uint8Array())).toEqual(["one"]);
  });

  test("bodies that are not gRPC messages are fault grpc_message_malformed", async () => {
    for (const body of [Buffer.from("7garbage"), framed("one").subarray(0, 7)]) {
      const { faults } = await sendIn(processor, mode, { request: call([body]) });
      expect(faults.map(({ code }) => code)).toEqual(["grpc_message_malformed"]);
    }
  });
});
