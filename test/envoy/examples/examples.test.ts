import { readdirSync } from "node:fs";
import type { Processor } from "ext-proc";
import { serve } from "ext-proc/server";
import { simulate } from "ext-proc/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { abTest } from "../../../examples/ab-test/processor.js";
import addBody from "../../../examples/add-body/processor.js";
import addCustomResponse from "../../../examples/add-custom-response/processor.js";
import addHeader from "../../../examples/add-header/processor.js";
import { hashPassword } from "../../../examples/basic-auth/password.js";
import { basicAuth } from "../../../examples/basic-auth/processor.js";
import bodySizeGuard from "../../../examples/body-size-guard/processor.js";
import { cloudLog } from "../../../examples/cloud-log/processor.js";
import countTokens from "../../../examples/count-tokens/processor.js";
import dynamicForwarding from "../../../examples/dynamic-forwarding/processor.js";
import grpcEdit from "../../../examples/grpc-edit/processor.js";
import htmlRewrite from "../../../examples/html-rewrite/processor.js";
import jsonRewrite from "../../../examples/json-rewrite/processor.js";
import { AUDIENCE, ISSUER, type Issuer, startIssuer } from "../../../examples/jwt-auth/issuer.ts";
import { KeySet } from "../../../examples/jwt-auth/key-set.js";
import { jwtAuth } from "../../../examples/jwt-auth/processor.js";
import maskPii from "../../../examples/mask-pii/processor.js";
import normalizeHeader from "../../../examples/normalize-header/processor.js";
import perRouteConfig from "../../../examples/per-route-config/processor.js";
import redirect from "../../../examples/redirect/processor.js";
import requestDigest from "../../../examples/request-digest/processor.js";
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

/** What is asked of each example. Tokens and passwords of the test stand in as `TOKEN`, `ADA` and `STRANGER`. */
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
  "add-body": [
    { method: "POST", headers: [["content-length", "0"]] },
    { method: "POST", body: "x" },
    { response: { headers: [["content-type", "text/plain"]], body: "hello\n" } },
    { response: { headers: [["content-type", "text/html"]], body: "hello\n" } },
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
    { headers: [["authorization", "STRANGER"]] },
    {
      headers: [
        ["authorization", "ADA"],
        ["authorization", "STRANGER"],
      ],
    },
  ],
  "body-size-guard": [
    { method: "POST", body: "x".repeat(64 << 10) },
    { method: "POST", body: "x".repeat((64 << 10) + 1) },
    {},
  ],
  "cloud-log": [
    { method: "POST", headers: [["content-type", "text/plain"]], body: "hello", response: { body: "there" } },
    {},
  ],
  "count-tokens": [
    {
      response: {
        headers: [["content-type", "text/event-stream"]],
        body: 'data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
      },
    },
    { response: { body: "hello" } },
  ],
  "dynamic-forwarding": [
    { path: "/via/canary/items?page=2" },
    { path: "/via/stable" },
    { path: "/via/elsewhere/" },
    { path: "/items", headers: [["x-forward-to-cluster", "canary"]] },
    { method: "POST", path: "/via/stable/", body: "x" },
  ],
  "grpc-edit": [
    {
      method: "POST",
      path: "/example.greeter.v1.GreeterService/Greet",
      headers: [["content-type", "application/grpc"]],
      body: "\0\0\0\0\x05\n\x03ada",
      response: { headers: [["content-type", "application/grpc"]], body: "\0\0\0\0\x07\n\x02hi\x12\x01x" },
    },
    { method: "POST", path: "/example.other.v1.Other/Call", body: "x", response: { body: "y" } },
  ],
  "html-rewrite": [
    {
      response: {
        headers: [
          ["content-type", "text/html"],
          ["etag", '"1"'],
        ],
        body: '<head></head><a href="http://a.example">b</a>',
      },
    },
    { response: { headers: [["content-type", "text/plain"]], body: "<head></head>" } },
  ],
  "json-rewrite": [
    {
      method: "POST",
      headers: [["content-type", "application/json"]],
      body: '{"userName":"ada"}',
      response: { headers: [["content-type", "application/json"]], body: '{"name":"ada","passwordHash":"x"}' },
    },
    { method: "POST", headers: [["content-type", "application/json"]], body: '{ "name": "ada" }' },
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
  "mask-pii": [
    { response: { headers: [["content-type", "text/plain"]], body: "to ada@mail.example, card 4111 1111 1111 1111" } },
    { response: { headers: [["content-type", "image/png"]], body: "ada@mail.example" } },
    {
      response: {
        headers: [
          ["content-type", "text/plain"],
          ["content-encoding", "other"],
        ],
        body: "ada@mail.example",
      },
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
  "request-digest": [{ method: "POST", headers: [["content-digest", "sha-256=:bogus:"]], body: "hello" }, {}],
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

test("every example that has its own configuration is tested", () => {
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
    words.set("ADA", basic("ada:secret")).set("STRANGER", basic("stranger:secret"));
    processors = {
      "ab-test": abTest({ random: () => 0.95 }),
      "add-body": addBody,
      "add-custom-response": addCustomResponse,
      "add-header": addHeader,
      "basic-auth": basicAuth({ realm: "engine", users: { ada: await hashPassword("secret") } }),
      "body-size-guard": bodySizeGuard,
      "cloud-log": cloudLog({ write: () => undefined }),
      "count-tokens": countTokens,
      "dynamic-forwarding": dynamicForwarding,
      "grpc-edit": grpcEdit,
      "html-rewrite": htmlRewrite,
      "json-rewrite": jsonRewrite,
      "jwt-auth": jwtAuth({ keys: new KeySet(issuer.url), issuer: ISSUER, audience: AUDIENCE }),
      "mask-pii": maskPii,
      "normalize-header": normalizeHeader,
      "per-route-config": perRouteConfig,
      redirect,
      "request-digest": requestDigest,
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
  test.each(cases)(
    "the example %s gives the same result behind a real Envoy and behind the simulated one: %j",
    async (name, { method = "GET", path = "/", headers = [], body = "", response = {} }) => {
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
    },
  );
});

/** Header lines as `simulate` takes them. */
function grouped(lines: readonly (readonly [name: string, value: string])[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of lines) headers[name] = [...(headers[name] ?? []), value];
  return headers;
}
