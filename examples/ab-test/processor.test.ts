import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import abTestProcessor, { abTest } from "./processor.js";

const routes = [{ name: "variant-b", headers: { "x-variant": "b" } }, { name: "variant-a" }];

test.each([
  [0, "a"],
  [0.89, "a"],
  [0.9, "b"],
  [0.999, "b"],
])("a new visitor at %d gets variant %s, and keeps it", async (point, variant) => {
  const envoy = simulate(abTest({ random: () => point }), { routes });
  const first = await envoy.get("/");
  expect(first.request).toMatchObject({ route: `variant-${variant}`, headers: { "x-variant": variant } });
  const cookie = `ab=${variant}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`;
  expect(first.response.headers).toMatchObject({ "set-cookie": cookie, "cache-control": "private" });
  expect(first.warnings).toEqual([]);
});

test("a visitor with the cookie keeps its variant, and gets no new cookie", async () => {
  const envoy = simulate(abTest({ random: () => 0 }), { routes });
  const { request, response } = await envoy.get("/", { headers: { cookie: "theme=dark; ab=b", "x-variant": "a" } });
  expect(request).toMatchObject({ route: "variant-b", headers: { "x-variant": "b" } });
  expect(response.headers).not.toHaveProperty("set-cookie");
});

test.each(["ab=z", "ab=", "ab=toString", "cab=b"])("the cookie %s is ignored", async (cookie) => {
  const envoy = simulate(abTest({ random: () => 0 }), { routes });
  const { request, response } = await envoy.get("/", { headers: { cookie } });
  expect(request?.headers).toMatchObject({ "x-variant": "a" });
  expect(response.headers).toHaveProperty("set-cookie");
});

test("new visitors are distributed by weight", async () => {
  const envoy = simulate(abTestProcessor);
  let variantB = 0;
  for (let visitor = 0; visitor < 1000; visitor++) {
    const { request } = await envoy.get("/");
    if (request?.headers["x-variant"] === "b") variantB++;
  }
  // Expects 100 of 1000. The standard deviation is 9.5, so 8 deviations away is a defect.
  expect(Math.abs(variantB - 100)).toBeLessThan(76);
});
