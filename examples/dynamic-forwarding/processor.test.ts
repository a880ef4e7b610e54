import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import dynamicForwarding from "./processor.js";

const routes = ["stable", "canary"].map((name) => ({ name, headers: { "x-forward-to-cluster": name } }));
const envoy = simulate(dynamicForwarding, {
  envoy: { mutationRules: { allowAllRouting: true } },
  routes: [...routes, { name: "upstream" }],
});

test.each([
  ["/via/canary/items?page=2", "canary", "/items?page=2"],
  ["/via/stable", "stable", "/"],
  ["/via/stable?x=1", "stable", "/?x=1"],
])("%s goes to %s", async (sent, backend, path) => {
  const { request, warnings } = await envoy.get(sent);
  expect(request).toMatchObject({ route: backend, authority: `${backend}.backend.internal`, path });
  expect(warnings).toEqual([]);
});

test("requests for other paths keep their route", async () => {
  const { request } = await envoy.get("/items");
  expect(request).toMatchObject({ route: "upstream", authority: "example.test", path: "/items" });
});

test.each([
  "/via/unknown/",
  "/via/169.254.169.254/latest/meta-data",
  "/via/stable@evil.example/",
  "/via/stable:6379/",
  "/via/constructor/",
  "/via/STABLE/",
  "/via//stable/",
  "/via/",
  "/via/%73table/",
])("%s goes nowhere", async (path) => {
  const { request, response } = await envoy.get(path);
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 404, json: { error: "no such backend" } });
});

test("a client cannot choose the cluster with the header that routes match", async () => {
  const headers = { "x-forward-to-cluster": "canary" };
  const plain = await envoy.get("/items", { headers });
  expect(plain.request).toMatchObject({ route: "upstream", headers: {} });
  expect(plain.request?.headers).toEqual({});
  const named = await envoy.get("/via/stable/", { headers });
  expect(named.request).toMatchObject({ route: "stable", headers: { "x-forward-to-cluster": "stable" } });
});
