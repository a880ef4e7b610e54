import { gunzipSync, gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import jsonRewrite from "./processor.js";

const USERS = { users: [{ name: "ada", passwordHash: "x", tags: [{ internalId: 7, label: "é" }] }] };
const PUBLIC = { users: [{ name: "ada", tags: [{ label: "é" }] }] };
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

describe.each(["BUFFERED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const trailerMode = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP";
  const envoy = simulate(jsonRewrite, {
    envoy: {
      processingMode: {
        requestBodyMode: mode,
        responseBodyMode: mode,
        requestTrailerMode: trailerMode,
        responseTrailerMode: trailerMode,
      },
    },
  });

  test("the field is renamed in requests, and private fields are removed from responses", async () => {
    const { request, response, warnings, faults } = await envoy.post("/users", {
      json: { userName: "ada", age: 36 },
      response: { json: USERS, headers: { etag: '"1"' } },
    });
    expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
    expect(request?.json).toEqual({ name: "ada", age: 36 });
    expect(response.json).toEqual(PUBLIC);
    expect(response.headers).not.toHaveProperty("etag");
  });

  test("a changed body keeps its coding", async () => {
    const headers = { ...JSON_TYPE, "content-encoding": "gzip" };
    const { response } = await envoy.get("/", { response: { body: gzipSync(JSON.stringify(USERS)), headers } });
    expect(JSON.parse(gunzipSync(response.bytes).toString())).toEqual(PUBLIC);
  });

  test("a body without such fields stays the same byte for byte", async () => {
    const body = '{ "name" :\t"ada" }';
    const { request } = await envoy.post("/users", { body, headers: JSON_TYPE });
    expect(request).toMatchObject({ body });
    const page = { body: '{"password":1}', headers: { "content-type": "text/html" } };
    expect((await envoy.get("/", { response: page })).response.body).toBe(page.body);
  });

  test("the result does not depend on where chunks end", async () => {
    const bytes = Buffer.from(JSON.stringify(USERS));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: bytes.length - 1 }), async (at) => {
        const chunks = [bytes.subarray(0, at), bytes.subarray(at)];
        const { response } = await envoy.get("/", { response: { chunks, chunkIntervalMs: 5, headers: JSON_TYPE } });
        expect(response.json).toEqual(PUBLIC);
      }),
      { numRuns: 40 },
    );
  });

  test("a body that is not JSON is a 400, and one that is too large a 413", async () => {
    const broken = await envoy.post("/users", { body: '{"userName":', headers: JSON_TYPE });
    expect(broken.faults).toMatchObject([{ code: "body_not_json" }]);
    const large = await envoy.post("/users", { body: `"${"x".repeat(1 << 20)}"`, headers: JSON_TYPE });
    expect(large.response.status).toBe(413);
  });
});
