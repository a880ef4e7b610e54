import { gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cloudLog } from "./processor.js";

const BODIES = { requestBodyMode: "STREAMED", responseBodyMode: "STREAMED" } as const;

/** A simulated Envoy, and the entries that are logged. */
function logged(envoy: object = {}, maxBytes = 16) {
  const entries: unknown[] = [];
  const processor = cloudLog({ maxBytes, write: (line) => entries.push(JSON.parse(line)) });
  return { entries, envoy: simulate(processor, { envoy: { processingMode: BODIES, ...envoy } }) };
}

test.each([[{}], [{ observabilityMode: true }]])("logs both bodies, with Envoy's settings %j", async (settings) => {
  const { entries, envoy } = logged(settings);
  const { request, response, warnings, faults } = await envoy.post("/orders?key=secret", {
    json: { item: 1 },
    response: { status: 201, chunks: ["cre", "ated"], headers: { "content-type": "text/plain" } },
  });
  expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
  expect([request?.body, response.body]).toEqual(['{"item":1}', "created"]);
  expect(entries).toMatchObject([
    {
      severity: "INFO",
      message: "POST /orders",
      httpRequest: { requestMethod: "POST", status: 201 },
      result: "completed",
      request: { bytes: 10, body: '{"item":1}', truncated: false },
      response: { bytes: 7, body: "created", truncated: false },
    },
  ]);
  expect(JSON.stringify(entries)).not.toContain("secret");
});

test("a long body is logged in part, and a body that is not text is not logged", async () => {
  const { entries, envoy } = logged();
  await envoy.post("/", {
    chunks: ["0123456789", "0123456789", "0123456789"],
    chunkIntervalMs: 5,
    headers: { "content-type": "text/plain" },
    response: { status: 502, body: "\x89PNG", headers: { "content-type": "image/png" } },
  });
  expect(entries).toMatchObject([
    {
      severity: "ERROR",
      request: { bytes: 30, body: "0123456789012345", truncated: true },
      response: { bytes: 5, type: "image/png" },
    },
  ]);
  expect(entries).not.toMatchObject([{ response: { body: expect.anything() } }]);
});

test("a gzip body is logged as text, and passes unchanged", async () => {
  const { entries, envoy } = logged();
  const body = gzipSync('{"a":"é"}');
  const headers = { "content-type": "application/json", "content-encoding": "gzip" };
  const { response } = await envoy.get("/", { response: { body, headers } });
  expect(Buffer.compare(response.bytes, body)).toBe(0);
  expect(entries).toMatchObject([{ response: { body: '{"a":"é"}' } }]);
});

test("the log line does not depend on where chunks end", async () => {
  const text = Buffer.from("drei Äpfel für ÄÖÜ", "utf8");
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: text.length - 1 }),
      fc.integer({ min: 0, max: 20 }),
      async (at, maxBytes) => {
        const { entries, envoy } = logged({}, maxBytes);
        const chunks = [text.subarray(0, at), text.subarray(at)];
        const whole = logged({}, maxBytes);
        const headers = { "content-type": "text/plain" };
        await envoy.post("/", { chunks, chunkIntervalMs: 5, headers });
        await whole.envoy.post("/", { chunks: [text], headers });
        expect(entries).toMatchObject([{ request: (whole.entries[0] as { request: object }).request }]);
      },
    ),
    { numRuns: 60 },
  );
});
