import { serve } from "ext-proc/server";
import { simulateRemote } from "ext-proc/testing";
import { afterAll, expect, test } from "vitest";
import tenant from "./tenant.js";

const server = await serve(tenant, { listen: "127.0.0.1:0", statusListen: "off", adminListen: "off" });
const envoy = simulateRemote(server.address);
afterAll(async () => {
  await envoy.close();
  await server.close();
});

test("the server gives the same answer over gRPC as its processor without a server", async () => {
  const { request, warnings } = await envoy.get("/", { authority: "blue.shop.example" });
  expect(request?.headers).toMatchObject({ "x-tenant": "blue" });
  expect(warnings).toEqual([]);
});
