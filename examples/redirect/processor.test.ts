import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import redirect from "./processor.js";

const envoy = simulate(redirect);

test("old paths are redirected to new ones, with their query", async () => {
  const { request, response, warnings } = await envoy.get("/old?page=2");
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 301, headers: { location: "/new?page=2" } });
  expect(warnings).toEqual([]);
});

test("a POST gets 308, which keeps the method", async () => {
  const { response } = await envoy.post("/old", { body: "x" });
  expect(response.status).toBe(308);
});

test.each(["/older", "/new", "//old", "/?/old"])("a request for %s passes", async (path) => {
  const { request, response } = await envoy.get(path);
  expect([request?.path, response.status]).toEqual([path, 200]);
});
