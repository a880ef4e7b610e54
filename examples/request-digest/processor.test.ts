import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import { describe, expect, test } from "vitest";
import requestDigest from "./processor.js";

const digest = (body: string | Uint8Array) => `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;

type Mode = "NONE" | "BUFFERED" | "STREAMED" | "FULL_DUPLEX_STREAMED";

const envoyIn = (mode: Mode, settings: object = {}) =>
  simulate(requestDigest, {
    envoy: {
      processingMode: {
        requestBodyMode: mode,
        requestTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
        responseHeaderMode: "SKIP",
      },
      ...settings,
    },
  });

describe.each(["BUFFERED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = envoyIn(mode);

  test("the upstream gets the digest of the body that it gets", async () => {
    for (const body of [{ body: "hello" }, { chunks: ["he", "ll", "o"], chunkIntervalMs: 5 }]) {
      const headers = { "content-digest": "sha-256=:bogus:" };
      const { request, faults, warnings } = await envoy.post("/", { ...body, headers });
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "hello", headers: { "content-digest": digest("hello") } });
    }
  });

  test("the digest is that of the encoded bytes, or of an empty body", async () => {
    const body = gzipSync("hello");
    const zipped = await envoy.post("/", { body, headers: { "content-encoding": "gzip" } });
    expect(zipped.request?.headers).toMatchObject({ "content-digest": digest(body) });
    for (const nothing of [{}, { chunks: [""] }, { chunks: [""], protocol: "http2" }] as const) {
      const empty = await envoy.post("/", { ...nothing, headers: { "content-digest": "sha-256=:bogus:" } });
      expect(empty.request?.headers).toMatchObject({ "content-digest": digest("") });
    }
  });
});

test("no request passes without a digest", async () => {
  const unseen = await envoyIn("NONE").post("/", { body: "hello" });
  expect([unseen.faults[0]?.code, unseen.response.status]).toEqual(["body_required_unseen", 500]);
  const tooLate = await envoyIn("STREAMED").post("/", { body: "hello" });
  expect([tooLate.faults[0]?.code, tooLate.response.status]).toEqual(["headers_already_sent", 500]);
  const large = await envoyIn("FULL_DUPLEX_STREAMED").post("/", { body: "x".repeat((1 << 20) + 1) });
  expect([large.faults[0]?.code, large.response.status]).toEqual(["body_too_large", 413]);
});

test("the server asks for a mode that allows a digest, if overrides are declared", async () => {
  for (const mode of ["NONE", "STREAMED"] as const) {
    const { request, faults } = await envoyIn(mode, { allowModeOverride: true }).post("/", { body: "hello" });
    expect(faults).toEqual([]);
    expect(request?.headers).toMatchObject({ "content-digest": digest("hello") });
  }
});
