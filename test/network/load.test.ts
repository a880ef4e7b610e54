import { createHash } from "node:crypto";
import { once } from "node:events";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { StatusObject } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  ExternalProcessor,
  ProcessingResponseSchema,
  ProtocolConfigurationSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { MessageReader } from "../../src/grpc/message-reader.ts";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { requestBytes } from "../grpc/fake-stream.ts";
import { grpcMessages } from "../grpc/framing.ts";
import { data, headers, windowUpdate } from "../http2/raw-frames.ts";
import { connectRaw } from "../http2/test-server.ts";
import { serverForTest } from "../server/start-server.ts";
import { usedBytes } from "../used-bytes.ts";
import { grpcJsClient } from "./grpc-js-client.ts";
import { headersSet, requestBody, requestHeaders } from "./messages.ts";
import { http2Session, openRawCall, PROCESS_PATH } from "./raw-grpc.ts";

test("more than 64 KiB of answers that are written in one turn arrive intact", async () => {
  const long = "x".repeat(2000);
  const { port } = await serverForTest(
    defineProcessor({
      name: "long",
      requestHeaders: (_headers, tx) => setHeader("x-long", `${tx.request.get("x-id")} ${long}`),
    }),
  );
  const client = await connectRaw(port);
  await client.handshake([4, 1 << 20]);
  const ids = Array.from({ length: 1000 }, (_, n) => 2 * n + 1);
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", PROCESS_PATH],
    [":authority", "a"],
    ["content-type", "application/grpc"],
  ] as const;
  const calls = ids.flatMap((id) => [
    headers(id, fields),
    data(id, requestBytes(requestHeaders([["x-id", String(id)]])), 1),
  ]);
  // One write of 150 KB, so that each turn of the server has hundreds of calls to answer.
  client.send(windowUpdate(0, 1 << 24), ...calls);
  await Promise.all(ids.map((id) => client.ended(id)));
  for (const id of ids) {
    const answers = grpcMessages(client.body(id)).map((bytes) => fromBinary(ProcessingResponseSchema, bytes));
    expect(answers.map(headersSet)).toEqual([{ "x-long": `${id} ${long}` }]);
  }
  client.socket.destroy();
});

test("all of 3,000 concurrent calls of grpc-js end", { timeout: 60_000 }, async () => {
  const { port, metric } = await serverForTest(hello);
  const client = grpcJsClient(ExternalProcessor, port);
  const codes = await Promise.all(
    Array.from({ length: 3000 }, async () => {
      const call = client.process();
      const status = once(call, "status") as Promise<[StatusObject]>;
      call.write(requestHeaders());
      await once(call, "data");
      call.end();
      call.resume();
      return (await status)[0].code;
    }),
  );
  expect(codes.filter((code) => code !== 0)).toEqual([]);
  expect(await metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(3000);
  expect(await metric("ext_proc_streams_active")).toBe(0);
});

test("a body of 64 MiB passes through a slow reader intact, and keeps memory flat", { timeout: 60_000 }, async () => {
  const { port } = await serverForTest(hello);
  const call = openRawCall(http2Session(port)).stream;
  // The call's own reader keeps every answer.
  call.removeAllListeners("data");
  const requestBodyMode = ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED;
  const protocolConfig = create(ProtocolConfigurationSchema, { requestBodyMode });
  const piece = Uint8Array.from({ length: 64 * 1024 }, (_, index) => (index * 31 + (index >> 8)) % 251);
  const sent = createHash("sha256");
  const write = async () => {
    call.write(requestBytes(requestHeaders([], false, { protocolConfig })));
    for (let n = 0; n < 1024; n++) {
      piece[0] = n % 256;
      sent.update(piece);
      if (!call.write(requestBytes(requestBody(piece, n === 1023)))) await once(call, "drain");
    }
    call.end();
  };
  const received = createHash("sha256");
  let bytes = 0;
  const reader = new MessageReader(
    {
      onMessage(message) {
        const { response } = fromBinary(ProcessingResponseSchema, message);
        if (response.case !== "requestBody") return false;
        const mutation = response.value.response?.bodyMutation?.mutation;
        if (mutation?.case !== "streamedResponse") throw new Error(`an answer with ${mutation?.case}`);
        received.update(mutation.value.body);
        bytes += mutation.value.body.length;
        return true;
      },
      onOversized() {
        throw new Error("a message is above the limit");
      },
      onUnreadable(problem) {
        throw new Error(problem.kind);
      },
    },
    1 << 20,
  );
  const written = write();
  const used: number[] = [];
  let chunks = 0;
  for await (const chunk of call as AsyncIterable<Buffer>) {
    reader.read(chunk, 0, chunk.length);
    if (chunks++ % 256 === 0) used.push(usedBytes());
    // All other events have their turn first.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await written;
  expect([bytes, received.digest("hex")]).toEqual([64 << 20, sent.digest("hex")]);
  expect(used.length).toBeGreaterThan(10);
  // Kept, question and answer were 128 MiB.
  expect(Math.max(...used) - Math.min(...used)).toBeLessThan(16 << 20);
});
