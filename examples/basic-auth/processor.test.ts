import { requestHeaders, sendMessages, simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import { hashPassword } from "./password.js";
import closed, { basicAuth } from "./processor.js";

const users = { ada: await hashPassword("pass:wörd"), charles: await hashPassword("") };
const processor = basicAuth({ realm: "engine", users });
const envoy = simulate(processor);

const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString("base64")}`;

test("a request with the right password passes with the user's name and without the password", async () => {
  const headers = { authorization: basic("ada:pass:wörd"), "x-user": "root" };
  const { request, warnings } = await envoy.get("/", { headers });
  expect(request?.headers).toEqual({ "x-user": "ada" });
  expect(warnings).toEqual([]);
});

test("a user can have an empty password", async () => {
  const { request } = await envoy.get("/", { headers: { authorization: basic("charles:") } });
  expect(request?.headers).toEqual({ "x-user": "charles" });
});

test.each([
  undefined,
  "",
  "Basic",
  "Basic !!!",
  basic("ada"),
  basic(":pass:wörd"),
  basic("ada:pass"),
  basic("ada:"),
  basic("Ada:pass:wörd"),
  basic("nobody:"),
  basic("constructor:"),
  basic("__proto__:"),
  `Bearer ${basic("ada:pass:wörd").slice(6)}`,
])("authorization %j is refused", async (authorization) => {
  const { request, response } = await envoy.get("/", { headers: authorization === undefined ? {} : { authorization } });
  expect(request).toBeUndefined();
  expect(response).toMatchObject({ status: 401, body: "Who are you?\n" });
  expect(response.headers).toMatchObject({ "www-authenticate": 'Basic realm="engine", charset="UTF-8"' });
});

test("a request with two authorization headers is rejected, even if one is right", async () => {
  const authorization = [basic("ada:pass:wörd"), basic("ada:no")];
  // Envoy joins the values with a comma.
  const { request, response } = await envoy.get("/", { headers: { authorization } });
  expect([request, response.status]).toEqual([undefined, 401]);
  // Other hosts may not join them.
  const { faults } = await sendMessages(processor, [requestHeaders({ authorization })]);
  expect(faults).toMatchObject([{ code: "header_ambiguous", processor: "basic-auth" }]);
});

test("more than four checks at the same time get 503", async () => {
  const headers = { authorization: basic("ada:pass:wörd") };
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => envoy.get("/", { headers })));
  expect(outcomes.map(({ response }) => response.status).sort()).toEqual([200, 200, 200, 200, 503, 503]);
});

test("without users every request is rejected", async () => {
  const { response } = await simulate(closed).get("/", { headers: { authorization: basic("ada:pass:wörd") } });
  expect(response.status).toBe(401);
});
