import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "ext-proc/testing";
import tenant from "./tenant.js";

test("a tenant's request goes on under its name", async () => {
  const { request } = await simulate(tenant).get("/", { authority: "blue.shop.example" });
  assert.equal(request?.headers["x-tenant"], "blue");
});
