import { defineProcessor, immediateResponse } from "ext-proc";
import { GreeterService } from "./greeter_pb.js";

export default defineProcessor({
  name: "grpc-edit",
  // The service must not get a tenant that a client chose itself.
  onFault: "closed",
  grpc: {
    service: GreeterService,
    required: true,
    methods: {
      greet: { request: withTenant, response: withoutDebug },
      greetMany: { request: withTenant, response: withoutDebug },
    },
  },
});

/**
 * @param {import("./greeter_pb.js").GreetRequest} message
 * @param {import("ext-proc").Transaction} tx
 */
function withTenant(message, tx) {
  const [tenant = ""] = tx.request.authority?.split(".", 1) ?? [];
  if (message.name === "") return immediateResponse(200, { grpcStatus: 3, text: "name: must not be empty" });
  return { ...message, tenant };
}

/** @param {import("./greeter_pb.js").GreetResponse} message */
function withoutDebug(message) {
  // If this returns nothing, the message stays the same byte for byte.
  return message.debug === "" ? undefined : { ...message, debug: "" };
}
