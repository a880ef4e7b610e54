import { httpHeaders } from "ext-proc/testing";
import { expect, test } from "vitest";
import { tenantOf } from "./tenant.js";

test("the tenant is the first label of the host", () => {
  expect(tenantOf(httpHeaders({ ":authority": "blue.shop.example" }))).toBe("blue");
  expect(tenantOf(httpHeaders({ ":authority": "www.shop.example" }))).toBeUndefined();
});
