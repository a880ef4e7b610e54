// What a user with their own Connect server writes.
import { createConnectRouter } from "@connectrpc/connect";
import { defineProcessor } from "ext-proc";
import { type ExtProcRoutesOptions, extProcRoutes, ServingState } from "ext-proc/connect";

const options: ExtProcRoutesOptions = { debug: true, serving: new ServingState() };
const router = createConnectRouter({ acceptCompression: [] });
extProcRoutes(defineProcessor({ name: "nothing" }), options)(router);
export const result: readonly string[] = router.handlers.map(({ requestPath }) => requestPath);
