import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import perRouteConfig from "./processor.js";

const envoy = simulate(perRouteConfig);
const blue = { tenant: "blue", methods: ["GET", "POST"], responseHeaders: { "x-team": "blue" } };

test("a route's configuration decides", async () => {
  const { request, response, warnings } = await envoy.post("/blue", { body: "x", config: blue });
  expect(request?.headers).toMatchObject({ "x-tenant": "blue" });
  expect(response.headers).toMatchObject({ "x-team": "blue" });
  expect(warnings).toEqual([]);
});

test("a route without a configuration gets the schema's defaults", async () => {
  const { request } = await envoy.get("/");
  expect(request?.headers).toEqual({ "x-tenant": "public" });
  const refused = await envoy.post("/", { body: "x" });
  expect(refused.response).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
});

test.each([[{ tenant: "Not A Name" }], [{ tenat: "blue" }], ["blue"], [null]])(
  "requests of a route with the wrong configuration %j are rejected",
  async (config) => {
    const { request, response, faults } = await envoy.get("/", { config });
    expect(request).toBeUndefined();
    expect(response.status).toBe(500);
    expect(faults).toMatchObject([{ code: "config_invalid", processor: "per-route-config" }]);
  },
);
