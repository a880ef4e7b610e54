import { defineProcessor } from "ext-proc";
import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";

const fragile = defineProcessor({
  name: "fragile",
  onFault: "closed",
  async requestHeaders(_headers, tx) {
    if (tx.request.path === "/hang") await new Promise(() => undefined);
    throw new Error("the database is down");
  },
});

test.each(["open", "envoy", "closed"] as const)("a closed processor stays closed if onFault is %s", async (onFault) => {
  const envoy = simulate(fragile, { operator: { onFault }, envoy: { failureModeAllow: true }, patienceMs: 20 });
  const thrown = await envoy.get("/");
  expect([thrown.response.status, thrown.faults[0]?.code]).toEqual([500, "handler_threw"]);
  const hung = await envoy.get("/hang");
  expect([hung.response.status, hung.faults[0]?.code]).toEqual([500, "handler_timeout"]);
});
