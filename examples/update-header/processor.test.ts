import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import updateHeader from "./processor.js";

const envoy = simulate(updateHeader);

test("an existing header is changed, and no header is added", async () => {
  const named = await envoy.get("/", { headers: { "user-agent": "curl/8" } });
  expect(named.request?.headers).toEqual({ "user-agent": "curl/8 (checked)" });
  expect((await envoy.get("/")).request?.headers).toEqual({});
});

test("errors get no-store if the upstream sent cache-control", async () => {
  const cacheable = { status: 404, headers: { "cache-control": "max-age=60" } };
  const { response, warnings } = await envoy.get("/", { response: cacheable });
  expect(response).toMatchObject({ status: 404, headers: { "cache-control": "no-store" } });
  expect(warnings).toEqual([]);
  const silent = await envoy.get("/", { response: { status: 404 } });
  expect(silent.response.headers).not.toHaveProperty("cache-control");
});

test("other responses keep cache-control, and lose x-powered-by", async () => {
  const headers = { "cache-control": "max-age=60", "x-powered-by": "steam" };
  const { response } = await envoy.get("/", { response: { headers } });
  expect(response.headers).toMatchObject({ "cache-control": "max-age=60" });
  expect(response.headers).not.toHaveProperty("x-powered-by");
});
