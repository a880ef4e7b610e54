import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import tenant from "./tenant.js";

const envoy = simulate(tenant, {
  envoy: { failureModeAllow: true, processingMode: { requestBodyMode: "BUFFERED" } },
  upstream: ({ headers }) => ({ json: { tenant: headers["x-tenant"] } }),
});

test("a tenant's request reaches the upstream with the tenant's name", async () => {
  const { request, response, warnings, faults } = await envoy.post("/orders?page=1", {
    authority: "blue.shop.example",
    json: { item: 1 },
  });
  expect(request).toMatchObject({ path: "/orders?page=1", headers: { "x-tenant": "blue" }, json: { item: 1 } });
  expect(response).toMatchObject({ status: 200, json: { tenant: "blue" }, headers: { "cache-control": "no-store" } });
  expect([warnings, faults]).toEqual([[], []]);
});

test("a request without a tenant does not reach the upstream", async () => {
  const { request, response } = await envoy.get("/", { authority: "www.shop.example" });
  expect(request).toBeUndefined();
  expect(response.status).toBe(404);
});
