import { expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { compose, defineProcessor } from "../../../src/index.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { sendIn, upperProcessor } from "./upper.ts";

const endless = { protocol: "http2", chunks: ["ab", "c"], chunkIntervalMs: 5 } as const;

test("two handlers that cannot share STREAMED are both named", async () => {
  const { faults } = await sendIn(compose(upperProcessor("chunks", "a"), upperProcessor("text", "b")), "STREAMED", {
    request: endless,
  });
  expect(faults).toMatchObject([
    {
      code: "body_end_unknowable",
      processor: "b",
      message: expect.stringContaining('processors "a" (chunks) and "b" (text) cannot share a mode: requestBody'),
    },
  ]);
});

test("a handler that runs without other handlers is the only one named", async () => {
  const { faults } = await sendIn(upperProcessor("text", "b"), "STREAMED", { request: endless });
  expect(faults).toMatchObject([
    { processor: "b", message: expect.stringMatching(/^processor "b" \(text\), request/) },
  ]);
});

test("handlers with the same need are all named", async () => {
  const { faults } = await sendIn(compose(upperProcessor("text", "a"), upperProcessor("whole", "b")), "STREAMED", {
    request: endless,
  });
  expect(faults).toMatchObject([{ message: expect.stringMatching(/^processor "a" \(text\), "b" \(whole\), request/) }]);
  expect(faults[0]?.processor).toBeUndefined();
});

test("only a required handler is named if no body is sent", async () => {
  const required = defineProcessor({
    name: "b",
    requestBody: { read: "json", required: true, handle: () => undefined },
  });
  const { faults } = await sendIn(compose(upperProcessor("chunks", "a"), required), "NONE", { request: endless });
  expect(faults).toMatchObject([{ code: "body_required_unseen", processor: "b" }]);
  expect(faults[0]?.message).not.toContain('"a"');
});

test("two handlers that cannot share GRPC mode are both named", () => {
  const grpc = defineProcessor({
    name: "g",
    grpc: { service: Health, methods: { check: { request: () => undefined } } },
  });
  const { ends, receive } = recordSession(compose(grpc, upperProcessor("whole", "w")));
  const headers = [
    [":path", "/grpc.health.v1.Health/Check"],
    ["content-type", "application/grpc"],
  ] as const;
  receive(headersOf("requestHeaders", headers, bodyModes("GRPC")), bodyOf("requestBody", "abc"));
  expect(ends[0]?.fault).toMatchObject({
    code: "handler_unsupported_in_mode",
    processor: "w",
    message: expect.stringContaining('processors "g" (grpc) and "w" (whole) cannot share a mode'),
  });
});
