import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  appendChunk,
  continueAndReplace,
  defineProcessor,
  immediateResponse,
  replaceJson,
  replaceText,
  setDynamicMetadata,
  setHeader,
  setPath,
  setStatus,
} from "../../../src/index.ts";
import { sendIn, upperProcessor } from "./upper.ts";

const ALLOWED = { allowModeOverride: true } as const;
const codes = (faults: readonly { readonly code: string }[]) => faults.map(({ code }) => code);

describe("header effects of a body handler", () => {
  const processor = defineProcessor({
    name: "p",
    requestBody: { read: "whole", handle: ({ bytes }) => setHeader("x-length", String(bytes.length)) },
    responseBody: { read: "text", handle: (text) => [setStatus(201), setHeader("x-length", String(text.length))] },
  });

  test.each(["BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"] as const)(
    "header effects of a body handler are applied in %s",
    async (mode) => {
      const { request, response, faults, warnings } = await sendIn(processor, mode, {
        request: { chunks: ["ab", "cd"], chunkIntervalMs: 5 },
        upstream: { chunks: ["efg", "h"], chunkIntervalMs: 5 },
      });
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "abcd", headers: { "x-length": "4" } });
      expect(response).toMatchObject({ status: 201, body: "efgh", headers: { "x-length": "4" } });
    },
  );

  test("header effects of a body handler choose no new route in BUFFERED_PARTIAL, since that can end Envoy's process", async () => {
    const router = defineProcessor({ name: "r", requestBody: { read: "text", handle: () => setPath("/other") } });
    const buffered = await sendIn(router, "BUFFERED", { request: { body: "ab" } });
    expect(buffered.faults).toEqual([]);
    expect(buffered.request).toMatchObject({ path: "/other" });
    const partial = await sendIn(router, "BUFFERED_PARTIAL", { request: { body: "ab" } });
    expect(codes(partial.faults)).toEqual(["invalid_effect"]);
  });

  test("header effects of a body handler are a fault if Envoy did not send the headers, even if it holds them", async () => {
    const processingMode = { requestHeaderMode: "SKIP" } as const;
    const { faults } = await sendIn(processor, "BUFFERED", { envoy: { processingMode }, request: { body: "ab" } });
    expect(codes(faults)).toEqual(["headers_already_sent"]);
  });

  test("header effects of a body handler are a fault in STREAMED, never a silent loss", async () => {
    const { faults } = await sendIn(processor, "STREAMED", { request: { body: "ab" } });
    expect(codes(faults)).toEqual(["headers_already_sent"]);
  });
});

describe("the mode that a handler needs", () => {
  test.each([
    ["NONE", { body: "hello" }, "BUFFERED"],
    ["NONE", { chunks: ["hel", "lo"], chunkIntervalMs: 5 }, "FULL_DUPLEX_STREAMED"],
    ["STREAMED", { body: "hello" }, "BUFFERED"],
    ["STREAMED", { chunks: ["hel", "lo"], chunkIntervalMs: 5, trailers: { "x-t": "1" } }, "FULL_DUPLEX_STREAMED"],
  ] as const)(
    "the mode that a handler needs is requested if %s cannot serve it and overrides are declared",
    async (mode, message, asked) => {
      const modes: unknown[] = [];
      const processor = defineProcessor({
        name: "p",
        requestBody: {
          read: "text",
          handle(text, tx) {
            modes.push(tx.modes.requestBody);
            return replaceText(`${text}!`);
          },
        },
      });
      const { request, faults, warnings } = await sendIn(processor, mode, { envoy: ALLOWED, request: message });
      expect({ faults, warnings, modes }).toEqual({ faults: [], warnings: [], modes: [asked] });
      expect(request).toMatchObject({ body: "hello!", complete: true });
    },
  );

  test("the mode that a handler needs is not requested without a declared override: the body passes, or is a fault if it is required", async () => {
    const looks = (required: boolean) =>
      defineProcessor({ name: "p", requestBody: { read: "text", required, handle: () => replaceText("seen") } });
    const unseen = await sendIn(looks(false), "NONE", { request: { body: "hello" } });
    expect(unseen.request?.body).toBe("hello");
    const required = await sendIn(looks(true), "NONE", { request: { body: "hello" } });
    expect(codes(required.faults)).toEqual(["body_required_unseen"]);
    expect(required.response.status).toBe(500);
  });

  test("a direction gets NONE if `when` says that no handler looks, and the other direction keeps its mode", async () => {
    const processor = defineProcessor({
      name: "p",
      requestBody: { read: "text", when: () => false, handle: () => replaceText("seen") },
      responseBody: { read: "text", handle: (text) => replaceText(`${text}!`) },
    });
    const { request, response, counters, warnings } = await sendIn(processor, "BUFFERED", {
      envoy: ALLOWED,
      request: { body: "hello" },
      upstream: { body: "there" },
    });
    expect(warnings).toEqual([]);
    expect([request?.body, response.body]).toEqual(["hello", "there!"]);
    expect(counters.stream_msgs_sent).toBe(3);
  });
});

describe("a body above maxBytes", () => {
  const limited = (overLimit: "reject" | "pass") =>
    defineProcessor({
      name: "p",
      onFault: "open",
      requestBody: { read: "text", maxBytes: 4, overLimit, handle: () => replaceText("seen") },
    });

  test.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
    "a body above maxBytes is a 413 in %s under every policy",
    async (mode) => {
      const { response, faults } = await sendIn(limited("reject"), mode, { request: { body: "hello" } });
      expect(codes(faults)).toEqual(["body_too_large"]);
      expect(response.status).toBe(413);
    },
  );

  test.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
    "a body above maxBytes passes in %s if it may",
    async (mode) => {
      const { request, faults } = await sendIn(limited("pass"), mode, {
        request: {
          chunks: ["he", "ll", "o"],
          protocol: "http2",
          headers: { "content-length": "5" },
          chunkIntervalMs: 5,
        },
      });
      expect(faults).toEqual([]);
      expect(request).toMatchObject({ body: "hello", complete: true });
    },
  );

  test("a body above maxBytes is found after decoding too", async () => {
    const zipped = gzipSync("x".repeat(100_000));
    const { response, faults } = await sendIn(limited("reject"), "BUFFERED", {
      request: { body: zipped, headers: { "content-encoding": "gzip" } },
    });
    expect(codes(faults)).toEqual(["body_too_large"]);
    expect(response.status).toBe(413);
  });
});

describe("content codings", () => {
  test("content codings are decoded and encoded again, and validators of a changed body are removed", async () => {
    const processor = defineProcessor({
      name: "p",
      responseBody: { read: "json", handle: () => replaceJson({ b: 2 }) },
    });
    const { response, faults } = await sendIn(processor, "BUFFERED", {
      request: {},
      upstream: { body: gzipSync('{"a":1}'), headers: { "content-encoding": "gzip", etag: '"1"', "content-md5": "x" } },
    });
    expect(faults).toEqual([]);
    expect(gunzipSync(response.bytes).toString()).toBe('{"b":2}');
    expect(Object.keys(response.headers).sort()).toEqual(["content-encoding", "content-length"]);
  });

  test("a body in STREAMED whose end no message shows leaves without its content coding", async () => {
    const { response, faults, warnings } = await sendIn(upperProcessor("chunks"), "STREAMED", {
      request: {},
      upstream: { chunks: [gzipSync("hello")], headers: { "content-encoding": "gzip" }, trailers: { "x-t": "1" } },
    });
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
    expect(response).toMatchObject({ body: "HELLO", trailers: { "x-t": "1" } });
    expect(response.headers["content-encoding"]).toBeUndefined();
  });

  test("an unknown content coding is a fault, unless the handler reads the body raw", async () => {
    const upstream = { body: "??", headers: { "content-encoding": "aws-chunked" } };
    const { faults } = await sendIn(upperProcessor("chunks"), "STREAMED", { request: {}, upstream });
    expect(codes(faults)).toEqual(["unknown_coding"]);
    const raw = defineProcessor({
      name: "p",
      responseBody: { read: "whole", encoding: "raw", handle: () => undefined },
    });
    const passed = await sendIn(raw, "BUFFERED", { request: {}, upstream });
    expect(passed).toMatchObject({ faults: [], response: { body: "??" } });
  });

  test("an encoded body that no handler changes stays byte for byte", async () => {
    const body = gzipSync("hello", { level: 1 });
    const processor = defineProcessor({
      name: "p",
      responseBody: { read: "text", handle: (text) => setDynamicMetadata("p", { text }) },
    });
    for (const mode of ["BUFFERED", "FULL_DUPLEX_STREAMED", "STREAMED"] as const) {
      const { response, faults } = await sendIn(processor, mode, {
        request: {},
        upstream: { body, headers: { "content-encoding": "gzip" } },
      });
      expect(faults).toEqual([]);
      expect(Buffer.compare(response.bytes, body)).toBe(0);
    }
  });
});

describe("responses without a body, or with a part of one", () => {
  const processor = upperProcessor("text");

  test("body handlers are not called for HEAD, 204 and 304", async () => {
    for (const [method, status] of [
      ["HEAD", 200],
      ["GET", 204],
      ["GET", 304],
    ] as const) {
      const { response, faults } = await sendIn(processor, "BUFFERED", { request: { method, response: { status } } });
      expect({ faults, status: response.status }).toEqual({ faults: [], status });
    }
  });

  test("a 206 response is a fault for a handler that may change it", async () => {
    const { faults } = await sendIn(processor, "BUFFERED", { request: {}, upstream: { status: 206, body: "part" } });
    expect(codes(faults)).toEqual(["body_partial_content"]);
  });
});

describe("faults of a body handler", () => {
  const thrower = (onFault: "open" | "closed" | "envoy", read: "whole" | "chunks") => {
    const boom = () => {
      throw new Error("boom");
    };
    return defineProcessor({
      name: "p",
      onFault,
      requestBody: read === "whole" ? { read, handle: boom } : { read, chunk: boom },
    });
  };
  const request = {
    chunks: ["ab", "cd"],
    protocol: "http2",
    headers: { "content-length": "4" },
    chunkIntervalMs: 5,
  } as const;

  test("the policy open lets bytes pass that were not held back", async () => {
    for (const [mode, read] of [
      ["BUFFERED", "whole"],
      ["STREAMED", "chunks"],
      ["FULL_DUPLEX_STREAMED", "chunks"],
    ] as const) {
      const sent = await sendIn(thrower("open", read), mode, { request });
      expect(codes(sent.faults)).toEqual(["handler_threw"]);
      expect(sent.request).toMatchObject({ body: "abcd", complete: true });
    }
  });

  test("the policy open cannot let bytes pass that were held back", async () => {
    for (const mode of ["STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
      const sent = await sendIn(thrower("open", "whole"), mode, { request });
      expect(codes(sent.faults)).toEqual(["handler_threw"]);
      expect(sent.response.status).toBe(500);
    }
  });

  test("the policy closed answers the client while it can", async () => {
    for (const mode of ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
      const { response, details } = await sendIn(thrower("closed", "whole"), mode, { request });
      expect([response.status, details]).toEqual([500, "ext_proc_fault_handler_threw"]);
    }
  });

  test("a body that is not JSON is fault body_not_json", async () => {
    const processor = defineProcessor({ name: "p", onFault: "closed", requestBody: { read: "json", handle() {} } });
    const { response, faults } = await sendIn(processor, "BUFFERED", { request: { body: "{" } });
    expect([codes(faults), response.status]).toEqual([["body_not_json"], 400]);
  });

  test("a handler that hangs meets its timeout, in full duplex too", async () => {
    for (const mode of ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
      const processor = defineProcessor({
        name: "p",
        requestBody: {
          read: "stream",
          handle: async function* () {
            await new Promise(() => {});
            yield new Uint8Array();
          },
        },
      });
      const { faults, response } = await sendIn(processor, mode, { request, patienceMs: 20 });
      expect([codes(faults), response.status]).toEqual([["handler_timeout"], 500]);
    }
  });
});

describe("tails of a body", () => {
  const tailed = defineProcessor({
    name: "p",
    responseBody: { read: "chunks", chunk: (b) => b, end: () => appendChunk("!") },
  });

  test("a tail has a place behind the end of the stream, and in full duplex before trailers", async () => {
    for (const [mode, trailers] of [
      ["STREAMED", undefined],
      ["BUFFERED", { a: "b" }],
      ["FULL_DUPLEX_STREAMED", { a: "b" }],
    ] as const) {
      const { response, faults } = await sendIn(tailed, mode, {
        request: {},
        upstream: { chunks: ["a", "b"], trailers },
      });
      expect({ faults, body: response.body }).toEqual({ faults: [], body: "ab!" });
    }
  });

  test("a tail without a place is fault tail_undeliverable", async () => {
    const { faults } = await sendIn(tailed, "STREAMED", {
      envoy: { processingMode: { responseTrailerMode: "SEND" } },
      request: {},
      upstream: { chunks: ["a", "b"], trailers: { a: "b" } },
    });
    expect(codes(faults)).toEqual(["tail_undeliverable"]);
  });
});

describe("a replacement body", () => {
  test.each(["NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
    "a replacement body leaves with the answer to headers, in %s",
    async (mode) => {
      const processor = defineProcessor({
        name: "p",
        requestHeaders: () => continueAndReplace("new request"),
        responseHeaders: () => [continueAndReplace("new response"), setHeader("x-a", "b")],
      });
      const { request, response, faults, warnings } = await sendIn(processor, mode, {
        request: { chunks: ["old", "er"], chunkIntervalMs: 5 },
        upstream: { body: gzipSync("old"), headers: { "content-encoding": "gzip", etag: "1" } },
      });
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "new request", complete: true });
      expect(response).toMatchObject({ body: "new response", headers: { "x-a": "b" } });
      expect(response.headers["content-encoding"]).toBeUndefined();
    },
  );

  test("a replacement body goes through body handlers", async () => {
    const processor = defineProcessor({
      name: "p",
      requestHeaders: () => continueAndReplace("abc"),
      requestBody: { read: "text", handle: (text) => [replaceText(text.toUpperCase()), setHeader("x-n", "3")] },
    });
    const { request } = await sendIn(processor, "BUFFERED", { request: { body: "old" } });
    expect(request).toMatchObject({ body: "ABC", headers: { "x-n": "3" } });
  });
});

test("an immediate response of a body handler ends the transaction, in every mode", async () => {
  const processor = defineProcessor({ name: "p", requestBody: { read: "text", handle: () => immediateResponse(418) } });
  for (const mode of ["BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
    const { response, request } = await sendIn(processor, mode, { request: { body: "abc" } });
    expect([response.status, request?.complete ?? false]).toEqual([418, false]);
  }
});
