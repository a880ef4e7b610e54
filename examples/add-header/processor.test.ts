import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import addHeader from "./processor.js";

const envoy = simulate(addHeader, { upstream: { headers: { vary: "origin" } } });

test("adds headers to the request", async () => {
  const { request, warnings } = await envoy.get("/");
  expect(request?.headers).toEqual({ "x-client-region": "eu", "accept-language": "en" });
  expect(warnings).toEqual([]);
});

test("a client's x-client-region is overwritten, and its accept-language stays", async () => {
  const { request } = await envoy.get("/", { headers: { "x-client-region": "moon", "accept-language": "de" } });
  expect(request?.headers).toEqual({ "x-client-region": "eu", "accept-language": "de" });
});

test("adds a value to a header of the response", async () => {
  const { response, warnings } = await envoy.get("/");
  expect(response.headers).toMatchObject({ vary: "origin,accept-language" });
  expect(warnings).toEqual([]);
});
