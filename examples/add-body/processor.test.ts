import { gunzipSync, gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import { describe, expect, test } from "vitest";
import addBody from "./processor.js";

const TAIL = "-- \nserved through ext-proc\n";
const PLAIN = { "content-type": "text/plain" };

const envoyIn = (mode: "BUFFERED" | "STREAMED" | "FULL_DUPLEX_STREAMED") =>
  simulate(addBody, {
    envoy: {
      processingMode: {
        responseBodyMode: mode,
        responseTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
      },
    },
  });

describe.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = envoyIn(mode);

  test("the signature follows the last byte, with and without content-length", async () => {
    for (const body of [{ body: "hello\n" }, { chunks: ["hel", "lo\n"], chunkIntervalMs: 5 }]) {
      const { response, warnings, faults } = await envoy.get("/", { response: { ...body, headers: PLAIN } });
      expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
      expect(response).toMatchObject({ body: `hello\n${TAIL}`, end: "complete" });
    }
  });

  test("the signature of a gzip body is inside the coding", async () => {
    const headers = { ...PLAIN, "content-encoding": "gzip" };
    const { response } = await envoy.get("/", { response: { body: gzipSync("hello\n"), headers } });
    expect(gunzipSync(response.bytes).toString()).toBe(`hello\n${TAIL}`);
  });

  test.each([204, 304])("a response with status %d gets no signature", async (status) => {
    const { response, faults } = await envoy.get("/", { response: { status, headers: PLAIN } });
    expect([response.status, response.body, faults]).toEqual([status, "", []]);
  });

  test("responses of other types get no signature", async () => {
    const { response } = await envoy.get("/", { response: { json: { a: 1 } } });
    expect(response).toMatchObject({ json: { a: 1 } });
  });
});

test("in full duplex the signature comes before trailers", async () => {
  const upstream = { chunks: ["hello\n"], headers: PLAIN, trailers: { "x-sum": "1" } };
  const { response } = await envoyIn("FULL_DUPLEX_STREAMED").get("/", { response: upstream });
  expect(response).toMatchObject({ body: `hello\n${TAIL}`, trailers: { "x-sum": "1" } });
});

test("only a POST without a body gets a body", async () => {
  const envoy = simulate(addBody);
  const { request, warnings } = await envoy.post("/items");
  expect(request).toMatchObject({ method: "POST", json: {}, headers: { "content-type": "application/json" } });
  expect(warnings).toEqual([]);
  expect((await envoy.post("/items", { body: "x" })).request).toMatchObject({ body: "x" });
  expect((await envoy.get("/items")).request).toMatchObject({ body: "" });
});
