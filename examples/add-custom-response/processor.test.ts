import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import addCustomResponse from "./processor.js";

const envoy = simulate(addCustomResponse, { upstream: { body: "from the upstream" } });

test("answers /robots.txt without the upstream", async () => {
  const { request, response, warnings } = await envoy.get("/robots.txt?from=crawler");
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 200, body: "User-agent: *\nDisallow: /\n" });
  expect(warnings).toEqual([]);
});

test.each(["/beta", "/beta/", "/beta?x=1"])("%s is under maintenance", async (path) => {
  const { request, response, details } = await envoy.get(path);
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 503, json: { error: "under maintenance" } });
  expect(response.headers).toMatchObject({ "retry-after": "120", "cache-control": "no-store" });
  expect(details).toBe("maintenance");
});

test("requests for other paths pass", async () => {
  const { response } = await envoy.get("/betamax");
  expect(response).toMatchObject({ status: 200, body: "from the upstream" });
});

test("the upstream's response with status 500 is replaced", async () => {
  const { response, warnings } = await envoy.get("/", { response: { status: 500, body: "at line 12 of secret.php" } });
  expect(response).toMatchObject({ status: 502, json: { error: "something went wrong" } });
  expect(response.body).not.toContain("secret");
  expect(warnings).toEqual([]);
});
