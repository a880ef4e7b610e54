import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import greeter from "./processor.js";

const envoy = simulate(greeter);

test("greets the user on the request, and signs the response", async () => {
  const { request, response, warnings } = await envoy.get("/", { headers: { "x-user": "ada" } });
  expect(request?.headers).toMatchObject({ "x-greeting": "hello ada" });
  expect(response).toMatchObject({ status: 200, headers: { "x-served-by": "ext-proc" } });
  expect(warnings).toEqual([]);
});

test("answers /ping itself", async () => {
  const { request, response } = await envoy.get("/ping");
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 200, body: "pong\n" });
});
