import { serve } from "ext-proc/server";
import { afterEach, describe, expect, test } from "vitest";
import { AUDIENCE, ISSUER, startIssuer } from "../../../examples/jwt-auth/issuer.ts";
import { KeySet } from "../../../examples/jwt-auth/key-set.js";
import { jwtAuth } from "../../../examples/jwt-auth/processor.js";
import { envoyBinary } from "../envoy-rig.ts";
import { readExampleConfig } from "./example-config.ts";
import { startExampleEnvoy } from "./example-rig.ts";
import { startExampleUpstream } from "./example-upstream.ts";

const LISTEN = { listen: "127.0.0.1:0", statusListen: "off", adminListen: "off" };
const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

describe.skipIf(envoyBinary === undefined)("jwt-auth behind a real Envoy with failure_mode_allow", () => {
  test.each(["failing", "talking", "silent"] as const)(
    "jwt-auth without keys rejects all clients: the issuer is %s",
    async (how) => {
      const issuer = await startIssuer();
      const upstream = await startExampleUpstream();
      stops.push(issuer.close, upstream.close);
      issuer.behave(how);
      const processor = jwtAuth({ keys: new KeySet(issuer.url), issuer: ISSUER, audience: AUDIENCE });
      const { filter, routes } = readExampleConfig("jwt-auth");
      const config = { filter: { ...filter, failure_mode_allow: true }, routes };
      const servers = await Promise.all(
        (["open", "envoy", "closed"] as const).map(async (onFault) => {
          const server = await serve(processor, { ...LISTEN, log: QUIET, onFault });
          stops.push(() => server.close());
          return { name: onFault, config, extProcPort: Number(server.address.split(":").at(-1)) };
        }),
      );
      const envoy = await startExampleEnvoy(servers, upstream.port);
      stops.push(() => envoy.stop());
      const authorization = ["authorization", `Bearer ${await issuer.token()}`] as const;
      const request = { method: "GET", path: "/", authority: "a", headers: [authorization], body: "" };
      for (const { name } of servers) expect((await envoy.send(name, request)).status).toBe(503);
      expect(upstream.seen).toBeUndefined();
    },
  );
});
