import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import setCookie from "./processor.js";

const envoy = simulate(setCookie, { upstream: { headers: { "set-cookie": "session=1; HttpOnly" } } });

test("new visitors get both cookies in addition to the upstream's cookies", async () => {
  const { response, warnings } = await envoy.get("/");
  const attributes = "Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax";
  expect(response.headers["set-cookie"]).toEqual([
    "session=1; HttpOnly",
    expect.stringMatching(new RegExp(`^__Host-visitor=[\\da-f-]{36}; ${attributes}$`)),
    "theme=light%20%26%20plain; Path=/; Secure; SameSite=Lax",
  ]);
  expect(warnings).toEqual([]);
});

test("a client that has the cookie gets no new ones", async () => {
  const { response } = await envoy.get("/", { headers: { cookie: "a=b; __Host-visitor=7f3e" } });
  expect(response.headers["set-cookie"]).toBe("session=1; HttpOnly");
});

test("a cookie whose name only ends with the same letters does not count", async () => {
  const { response } = await envoy.get("/", { headers: { cookie: "not__Host-visitor=1" } });
  expect(response.headers["set-cookie"]).toHaveLength(3);
});
