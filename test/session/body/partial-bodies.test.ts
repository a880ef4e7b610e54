import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { defineProcessor, type Processor, replaceText } from "../../../src/index.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { sendIn, upperProcessor } from "./upper.ts";

const LIMIT = { bufferLimitBytes: 10 };
const request = { protocol: "http1", chunks: ["abcdefgh", "ijklmnop", "qrst"], chunkIntervalMs: 5 } as const;

/** Sends the beginning of a body, as Envoy does when it cannot buffer more. */
function beginning(processor: Processor, body: string | Uint8Array, headers: HeaderPairs = []) {
  const unenforced: string[] = [];
  const recorded = recordSession(processor, {
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason, wanted) => unenforced.push(`${reason} ${wanted}`),
    },
  });
  recorded.receive(
    headersOf("requestHeaders", headers, bodyModes("BUFFERED_PARTIAL")),
    bodyOf("requestBody", body, { endOfStream: false }),
  );
  return { ...recorded, unenforced };
}

describe("the rest of a body that Envoy does not send", () => {
  const kinds = {
    chunks: { read: "chunks", chunk: () => undefined },
    inspect: { read: "inspect", chunk: () => undefined },
    stream: {
      read: "stream",
      async *handle(chunks: AsyncIterable<Uint8Array>) {
        yield* chunks;
      },
    },
  } as const;

  test.each(["chunks", "inspect", "stream"] as const)(
    "a missing rest is counted if a handler reads %s",
    async (read) => {
      const { log, unenforced } = beginning(defineProcessor({ name: "p", requestBody: kinds[read] }), "begin");
      await expect.poll(() => log).toEqual(["requestHeaders", "requestBody"]);
      expect(unenforced).toEqual(["body_not_sent requestBody"]);
    },
  );

  test.each(["chunks", "inspect", "stream"] as const)("a missing rest is a fault if %s is required", async (read) => {
    const { ends, unenforced } = beginning(
      defineProcessor({ name: "p", requestBody: { ...kinds[read], required: true } }),
      "begin",
    );
    await expect.poll(() => ends[0]?.fault).toMatchObject({ code: "body_required_unseen", processor: "p" });
    expect(unenforced).toEqual([]);
  });

  test("a missing rest is reported to a handler of whole bodies, and counted for no other handler", () => {
    const seen: unknown[] = [];
    const processor = defineProcessor({
      name: "p",
      requestBody: { read: "whole", required: true, handle: ({ complete }) => void seen.push(complete) },
    });
    const { log, unenforced } = beginning(processor, "begin");
    expect([log, seen, unenforced]).toEqual([["requestHeaders", "requestBody"], [false], []]);
  });

  test("the rest of a body is not missing if the length says that everything came", () => {
    const processor = defineProcessor({ name: "p", requestBody: { ...kinds.chunks, required: true } });
    const { log, unenforced } = beginning(processor, "begin", [["content-length", "5"]]);
    expect([log, unenforced]).toEqual([["requestHeaders", "requestBody"], []]);
  });

  test("the rest does not follow a beginning that was encoded again", async () => {
    const zipped = gzipSync("x".repeat(1000)).subarray(0, 20);
    const { ends } = beginning(upperProcessor("chunks"), zipped, [["content-encoding", "gzip"]]);
    await expect.poll(() => ends[0]?.fault?.code).toBe("body_too_large");
  });

  test("the rest follows the beginning of a gRPC message", () => {
    const processor = defineProcessor({
      name: "p",
      grpc: { service: Health, methods: { check: { request: () => undefined } } },
    });
    const headers = [
      [":path", "/grpc.health.v1.Health/Check"],
      ["content-type", "application/grpc"],
    ] as const;
    const { answers, ends, unenforced } = beginning(processor, new Uint8Array([0, 0, 0, 0, 9, 1, 2]), headers);
    expect([ends, unenforced]).toEqual([[], ["body_not_sent requestBody"]]);
    const { response } = answers[1] ?? {};
    const common = response?.case === "requestBody" ? response.value.response : undefined;
    const mutation = common?.bodyMutation?.mutation;
    expect([mutation?.case, mutation?.value]).toEqual(
      mutation ? ["body", new Uint8Array([0, 0, 0, 0, 9, 1, 2])] : [undefined, undefined],
    );
  });
});

describe("a body above the buffer limit with overrides declared", () => {
  const envoy = { ...LIMIT, allowModeOverride: true };

  test("a body above the buffer limit comes whole if overrides are declared", async () => {
    const headers = { "content-length": "20" };
    for (const kind of ["text", "chunks", "stream"] as const) {
      const sent = await sendIn(upperProcessor(kind), "BUFFERED_PARTIAL", { envoy, request: { ...request, headers } });
      expect(sent.faults).toEqual([]);
      expect(sent.request).toMatchObject({ body: "ABCDEFGHIJKLMNOPQRST", complete: true });
    }
  });

  test("a body above the buffer limit comes whole if its length is unknown and a handler is required", async () => {
    const processor = defineProcessor({
      name: "p",
      requestBody: { read: "text", required: true, handle: (text) => replaceText(text.toUpperCase()) },
    });
    const sent = await sendIn(processor, "BUFFERED_PARTIAL", { envoy, request });
    expect(sent.faults).toEqual([]);
    expect(sent.request).toMatchObject({ body: "ABCDEFGHIJKLMNOPQRST", complete: true });
  });

  test("a body above the buffer limit is a fault or passes in part if overrides are not declared", async () => {
    const { faults } = await sendIn(upperProcessor("text"), "BUFFERED_PARTIAL", { envoy: LIMIT, request });
    expect(faults.map(({ code }) => code)).toEqual(["body_too_large"]);
    const passed = await sendIn(upperProcessor("chunks"), "BUFFERED_PARTIAL", { envoy: LIMIT, request });
    expect(passed.faults).toEqual([]);
    expect(passed.request?.body.toLowerCase()).toBe("abcdefghijklmnopqrst");
  });
});
