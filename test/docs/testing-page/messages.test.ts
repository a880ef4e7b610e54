import { requestHeaders, sendMessages } from "ext-proc/testing";
import { expect, test } from "vitest";
import tenant from "./tenant.js";

test("a request without :authority gets 404", async () => {
  const { responses, faults } = await sendMessages(tenant, [requestHeaders({ ":path": "/" })]);
  expect(responses[0]?.response).toMatchObject({ case: "immediateResponse", value: { status: { code: 404 } } });
  expect(faults).toEqual([]);
});
