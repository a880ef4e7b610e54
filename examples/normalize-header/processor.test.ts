import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";
import normalizeHeader from "./processor.js";

const envoy = simulate(normalizeHeader);

test.each([
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "mobile"],
  ["Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36", "mobile"],
  ["Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 Chrome/120.0 Safari/537.36", "tablet"],
  ["Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "tablet"],
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36", "desktop"],
  ["curl/8.5.0", "desktop"],
])("%s is a %s", async (agent, device) => {
  const { request, warnings } = await envoy.get("/", { headers: { "user-agent": agent } });
  expect(request?.headers).toMatchObject({ "client-device-type": device });
  expect(warnings).toEqual([]);
});

test("a client without a user agent, or with its own client-device-type, gets the right type", async () => {
  const { request } = await envoy.get("/", { headers: { "client-device-type": "toaster" } });
  expect(request?.headers).toEqual({ "client-device-type": "desktop" });
});

test("Envoy chooses the route again, by the type", async () => {
  const routes = [{ name: "mobile", headers: { "client-device-type": "mobile" } }, { name: "upstream" }];
  const mobile = await envoy.get("/", { routes, headers: { "user-agent": "Mobile" } });
  const desktop = await envoy.get("/", { routes });
  expect([mobile.request?.route, desktop.request?.route]).toEqual(["mobile", "upstream"]);
});
