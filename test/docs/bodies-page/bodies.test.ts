import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import orders from "./orders.js";
import rows from "./rows.js";
import shout from "./shout.js";

test("a changed body comes with its length, and with a header that depends on it", async () => {
  const envoy = simulate(orders, { envoy: { processingMode: { requestBodyMode: "BUFFERED" } } });
  const { request, faults, warnings } = await envoy.post("/", { json: { item: 1 } });
  expect(request).toMatchObject({
    json: { item: 1, seen: true },
    headers: { "x-fields": "1", "content-length": "22" },
  });
  expect([faults, warnings]).toEqual([[], []]);
});

test("a character that is cut in two is read as one", async () => {
  const envoy = simulate(shout, { envoy: { processingMode: { responseBodyMode: "STREAMED" } } });
  const chunks = [Buffer.from("caf\xc3", "latin1"), Buffer.from("\xa9", "latin1")];
  const { response } = await envoy.get("/", { response: { chunks, chunkIntervalMs: 10 } });
  expect(response.body).toBe("CAFÉ");
});

test("lines are rewritten as they come", async () => {
  const envoy = simulate(rows, { envoy: { processingMode: { responseBodyMode: "STREAMED" } } });
  const upstream = { chunks: ['{"a":1}\n{"b', '":2}\n\n'], headers: { "content-type": "application/x-ndjson" } };
  const { response } = await envoy.get("/", { response: { ...upstream, chunkIntervalMs: 10 } });
  expect(response.body).toBe('{"n":1,"row":{"a":1}}\n{"n":2,"row":{"b":2}}\n\n');
});
