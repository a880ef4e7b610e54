import { defineProcessor, immediateResponse, setHeader } from "ext-proc";
import { z } from "zod";

/** The configuration that a route can give in `x-ext-proc-config`. A route without one gets the defaults. */
const Config = z
  .strictObject({
    tenant: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,30}$/)
      .default("public"),
    methods: z.array(z.string()).default(["GET", "HEAD"]),
    responseHeaders: z.record(z.string(), z.string()).default({}),
  })
  .prefault({});

export default defineProcessor({
  name: "per-route-config",
  config: Config,
  // If the configuration of a route is wrong, its requests are rejected, instead of allowing every method.
  onFault: "closed",
  requestHeaders(_headers, tx) {
    const { methods, tenant } = tx.config;
    if (!methods.includes(tx.request.method ?? "")) {
      return immediateResponse(405, { headers: { allow: methods.join(", ") } });
    }
    return setHeader("x-tenant", tenant);
  },
  responseHeaders: (_headers, tx) =>
    Object.entries(tx.config.responseHeaders).map(([name, value]) => setHeader(name, value)),
});
