import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "ext-proc/testing";
import tenant from "./tenant.js";

test("a tenant's request reaches the upstream with the tenant's name", async () => {
  const { request } = await simulate(tenant).get("/", { authority: "blue.shop.example" });
  assert.equal(request?.headers["x-tenant"], "blue");
});
