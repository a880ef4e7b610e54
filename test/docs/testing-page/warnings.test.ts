import { defineProcessor, setDynamicMetadata } from "ext-proc";
import { simulate } from "ext-proc/testing";
import { expect, test } from "vitest";

const tag = defineProcessor({
  name: "tag",
  requestHeaders: (_headers, tx) => setDynamicMetadata("shop", { host: tx.request.authority ?? "" }),
});

test("Envoy drops metadata in a namespace that it is not configured to receive", async () => {
  const { metadata, warnings } = await simulate(tag).get("/");
  expect(metadata).toEqual({});
  expect(warnings).toMatchObject([{ code: "dynamic_metadata_dropped" }]);
});

test("Envoy keeps metadata in a namespace that it is configured to receive", async () => {
  const envoy = simulate(tag, { envoy: { metadataOptions: { receivingNamespaces: { untyped: ["shop"] } } } });
  const { metadata, warnings } = await envoy.get("/");
  expect(metadata).toEqual({ shop: { host: "example.test" } });
  expect(warnings).toEqual([]);
});
