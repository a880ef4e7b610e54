import { readdirSync } from "node:fs";
import type { Processor } from "ext-proc";
import { serve } from "ext-proc/server";
import { simulate } from "ext-proc/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { abTest } from "../../../examples/ab-test/processor.js";
import addCustomResponse from "../../../examples/add-custom-response/processor.js";
import addHeader from "../../../examples/add-header/processor.js";
import { hashPassword } from "../../../examples/basic-auth/password.js";
import { basicAuth } from "../../../examples/basic-auth/processor.js";
import dynamicForwarding from "../../../examples/dynamic-forwarding/processor.js";
import { AUDIENCE, ISSUER, type Issuer, startIssuer } from "../../../examples/jwt-auth/issuer.ts";
import { KeySet } from "../../../examples/jwt-auth/key-set.js";
import { jwtAuth } from "../../../examples/jwt-auth/processor.js";
import normalizeHeader from "../../../examples/normalize-header/processor.js";
import perRouteConfig from "../../../examples/per-route-config/processor.js";
import redirect from "../../../examples/redirect/processor.js";
import setCookie from "../../../examples/set-cookie/processor.js";
import updateHeader from "../../../examples/update-header/processor.js";
import { envoyBinary } from "../envoy-rig.ts";
import { comparableReal, comparableSimulated } from "./comparable.ts";
import { filterSettings, readExampleConfig, routeConfigOf, virtualRoutes } from "./example-config.ts";
import { type ExampleEnvoy, startExampleEnvoy } from "./example-rig.ts";
import { type ExampleUpstream, startExampleUpstream, type UpstreamAnswer } from "./example-upstream.ts";

/** One request to an example, and what the upstream answers. */
interface Exchange {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  readonly response?: UpstreamAnswer;
}

const LISTEN = { listen: "127.0.0.1:0", statusListen: "127.0.0.1:0", adminListen: "off" };
const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };
const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString("base64")}`;

/** What is asked of each example. Tokens and passwords of the test stand in as `TOKEN`, `ADA` and `NOBODY`. */
const EXCHANGES: Readonly<Record<string, readonly Exchange[]>> = {
  "ab-test": [
    {},
    { headers: [["cookie", "ab=a"]] },
    {
      headers: [
        ["cookie", "ab=b; x=y"],
        ["x-variant", "a"],
      ],
    },
  ],
  "add-custom-response": [
    { path: "/robots.txt" },
    { path: "/beta/x" },
    { path: "/other", response: { body: "hello" } },
    { response: { status: 500, body: "secret" } },
  ],
  "add-header": [
    { response: { headers: [["vary", "origin"]] } },
    {
      headers: [
        ["x-client-region", "moon"],
        ["accept-language", "de"],
      ],
    },
  ],
  "basic-auth": [
    {},
    { headers: [["authorization", "ADA"]] },
    { headers: [["authorization", "NOBODY"]] },
    {
      headers: [
        ["authorization", "ADA"],
        ["authorization", "NOBODY"],
      ],
    },
  ],
  "dynamic-forwarding": [
    { path: "/via/canary/items?page=2" },
    { path: "/via/stable" },
    { path: "/via/elsewhere/" },
    { path: "/items", headers: [["x-forward-to-cluster", "canary"]] },
    { method: "POST", path: "/via/stable/", body: "x" },
  ],
  "jwt-auth": [
    {},
    { headers: [["authorization", "TOKEN"]] },
    { headers: [["authorization", "Bearer a.b.c"]] },
    {
      headers: [
        ["authorization", "TOKEN"],
        ["authorization", "Bearer a.b.c"],
      ],
    },
  ],
  "normalize-header": [
    { headers: [["user-agent", "Mobile"]] },
    {
      headers: [
        ["user-agent", "curl/8"],
        ["client-device-type", "mobile"],
      ],
    },
    {},
  ],
  "per-route-config": [
    { path: "/blue/x" },
    { method: "POST", path: "/blue", body: "x" },
    { path: "/" },
    { method: "POST", path: "/", body: "x" },
  ],
  redirect: [{ path: "/old?page=2" }, { method: "POST", path: "/old", body: "x" }, { path: "/new" }],
  "set-cookie": [
    { response: { headers: [["set-cookie", "session=1"]] } },
    { headers: [["cookie", "__Host-visitor=1"]] },
  ],
  "update-header": [
    { headers: [["user-agent", "curl/8"]] },
    {
      response: {
        status: 404,
        headers: [
          ["cache-control", "max-age=60"],
          ["x-powered-by", "steam"],
        ],
      },
    },
    { response: { headers: [["cache-control", "max-age=60"]], body: "x" } },
  ],
};

test("every example with a configuration of its own is among them", () => {
  const folder = new URL("../../../examples/", import.meta.url);
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(names.map(({ name }) => name)).toEqual([...Object.keys(EXCHANGES), "greeter"].sort());
});

describe.skipIf(envoyBinary === undefined)("behind a real Envoy as behind the simulated one", () => {
  const stops: (() => Promise<void>)[] = [];
  const words = new Map<string, string>();
  let processors: Readonly<Record<string, Processor>>;
  let upstream: ExampleUpstream;
  let envoy: ExampleEnvoy;

  beforeAll(async () => {
    const issuer: Issuer = await startIssuer();
    upstream = await startExampleUpstream();
    words.set("TOKEN", `Bearer ${await issuer.token()}`);
    words.set("ADA", basic("ada:secret")).set("NOBODY", basic("nobody:secret"));
    processors = {
      "ab-test": abTest({ random: () => 0.95 }),
      "add-custom-response": addCustomResponse,
      "add-header": addHeader,
      "basic-auth": basicAuth({ realm: "engine", users: { ada: await hashPassword("secret") } }),
      "dynamic-forwarding": dynamicForwarding,
      "jwt-auth": jwtAuth({ keys: new KeySet(issuer.url), issuer: ISSUER, audience: AUDIENCE }),
      "normalize-header": normalizeHeader,
      "per-route-config": perRouteConfig,
      redirect,
      "set-cookie": setCookie,
      "update-header": updateHeader,
    };
    stops.push(issuer.close, upstream.close);
    const lanes = await Promise.all(
      Object.entries(processors).map(async ([name, processor]) => {
        const config = readExampleConfig(name);
        const declared = { messageTimeoutMs: 5000, mutationRules: filterSettings(config).mutationRules };
        const server = await serve(processor, { ...LISTEN, log: QUIET, envoy: declared });
        stops.push(() => server.close());
        await vi.waitUntil(async () => (await fetch(`http://${server.statusAddress}/readyz`)).ok, { timeout: 10_000 });
        return { name, config, extProcPort: Number(server.address.split(":").at(-1)) };
      }),
    );
    envoy = await startExampleEnvoy(lanes, upstream.port);
    stops.push(() => envoy.stop());
  });
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  const cases = Object.entries(EXCHANGES).flatMap(([name, exchanges]) =>
    exchanges.map((exchange) => [name, exchange] as const),
  );
  test.each(cases)("%s: %j", async (name, { method = "GET", path = "/", headers = [], body = "", response = {} }) => {
    const config = readExampleConfig(name);
    const lines = headers.map(([key, value]) => [key, words.get(value) ?? value] as const);
    const length = body === "" ? [] : [["content-length", String(body.length)] as const];
    const sent = { method, path, authority: "example.test", headers: [...lines, ...length], body };

    upstream.answer(response);
    const received = await envoy.send(name, sent);
    const real = comparableReal(upstream.seen, received);

    const processor = processors[name];
    if (processor === undefined) throw new Error(`${name} has no processor`);
    const routeConfig = routeConfigOf(config, path);
    const simulated = await simulate(processor, {
      envoy: { ...filterSettings(config), messageTimeoutMs: 5000 },
      routes: virtualRoutes(config),
      config: routeConfig === undefined ? undefined : JSON.parse(routeConfig),
    }).send({
      ...sent,
      headers: grouped(lines),
      body: body === "" ? undefined : body,
      response: {
        status: response.status,
        headers: grouped(response.headers ?? []),
        body: response.body ?? "",
      },
    });
    expect(comparableSimulated(simulated)).toEqual(real);
    expect(simulated.warnings).toEqual([]);
  });
});

/** Header lines as `simulate` takes them. */
function grouped(lines: readonly (readonly [name: string, value: string])[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of lines) headers[name] = [...(headers[name] ?? []), value];
  return headers;
}
