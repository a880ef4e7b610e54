import { requestHeaders, sendMessages, simulate } from "ext-proc/testing";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AUDIENCE, ISSUER, type Issuer, startIssuer } from "./issuer.ts";
import { KeySet } from "./key-set.js";
import { jwtAuth } from "./processor.js";

let issuer: Issuer;
let nowMs: number;

beforeEach(async () => {
  issuer = await startIssuer();
  nowMs = 0;
});
afterEach(() => issuer.close());

/** The processor, with keys whose clock the test sets. */
const processor = () =>
  jwtAuth({ keys: new KeySet(issuer.url, { now: () => nowMs }), issuer: ISSUER, audience: AUDIENCE });
const bearing = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe("a token", () => {
  test("that is valid lets its request pass, with the subject in x-user", async () => {
    const headers = { authorization: `Bearer ${await issuer.token()}`, "x-user": "root" };
    const { request, warnings } = await simulate(processor()).get("/", { headers });
    expect(request?.headers).toEqual({ "x-user": "ada" });
    expect(warnings).toEqual([]);
  });

  const past = Math.floor(Date.now() / 1000) - 60;
  test.each([
    ["has expired", { exp: past }],
    ["has no expiry", { exp: undefined }],
    ["is not valid yet", { nbf: past + 3600 }],
    ["is from another issuer", { iss: "https://elsewhere.example" }],
    ["is for another audience", { aud: "others" }],
    ["has no subject", { sub: undefined }],
  ])("that %s is refused", async (_what, claims) => {
    const { request, response } = await simulate(processor()).get("/", bearing(await issuer.token(claims)));
    expect(request).toBeUndefined();
    expect(response).toMatchObject({ status: 401, json: { error: "unauthorized" } });
    expect(response.headers).toMatchObject({ "www-authenticate": 'Bearer error="invalid_token"' });
  });

  test("that is not signed, or signed with a shared secret, is rejected", async () => {
    const envoy = simulate(processor());
    const [, payload = ""] = (await issuer.token()).split(".");
    const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
    const claims = new SignJWT({ sub: "ada", exp: 2 ** 32, iss: ISSUER, aud: AUDIENCE });
    const shared = await claims.setProtectedHeader({ alg: "HS256", kid: "key-1" }).sign(Buffer.alloc(32));
    for (const token of [none, `${none}x`, shared]) {
      const { request, response } = await envoy.get("/", bearing(token));
      expect([request, response.status]).toEqual([undefined, 401]);
    }
  });

  test.each([{}, { authorization: "" }, { authorization: "Bearer" }, { authorization: "Basic YTpi" }])(
    "that is missing in %j gets 401 with a challenge",
    async (headers) => {
      const { request, response } = await simulate(processor()).get("/", { headers });
      expect([request, response.status]).toEqual([undefined, 401]);
    },
  );

  test("with a second token is rejected, in any order", async () => {
    const good = `Bearer ${await issuer.token()}`;
    const bad = `Bearer ${await issuer.token({ exp: past })}`;
    for (const authorization of [[good, bad], [bad, good], [good, good], [`${good}, ${good}`]]) {
      const { request, response } = await simulate(processor()).get("/", { headers: { authorization } });
      expect(request).toBeUndefined();
      expect(response.status).toBeGreaterThanOrEqual(400);
    }
  });
});

describe("keys", () => {
  test("are fetched once before the first request, and not for each", async () => {
    const envoy = simulate(processor());
    const token = await issuer.token();
    for (let request = 0; request < 5; request++) await envoy.get("/", bearing(token));
    expect(issuer.fetches).toBe(1);
  });

  test("that were rotated are fetched, and tokens with old keys are rejected", async () => {
    const envoy = simulate(processor());
    const old = await issuer.token();
    await envoy.get("/", bearing(old));
    await issuer.rotate();
    nowMs = 11_000;
    const renewed = await envoy.get("/", bearing(await issuer.token()));
    const outdated = await envoy.get("/", bearing(old));
    expect([renewed.response.status, outdated.response.status]).toEqual([200, 401]);
    expect(issuer.fetches).toBe(2);
  });

  test("that do not exist are fetched once in 10 s", async () => {
    const envoy = simulate(processor());
    await envoy.get("/");
    await issuer.rotate();
    const unknown = await issuer.token();
    await issuer.rotate();
    for (nowMs = 11_000; nowMs < 12_000; nowMs += 100) {
      expect((await envoy.get("/", bearing(unknown))).response.status).toBe(401);
    }
    expect(issuer.fetches).toBe(2);
  });

  test("are used for 10 minutes while the issuer is down, and no longer", async () => {
    const envoy = simulate(processor(), { envoy: { failureModeAllow: true } });
    const token = await issuer.token();
    await envoy.get("/", bearing(token));
    issuer.behave("failing");
    nowMs = 599_000;
    expect((await envoy.get("/", bearing(token))).response.status).toBe(200);
    nowMs = 601_000;
    const stale = await envoy.get("/", bearing(token));
    expect([stale.request, stale.response.status]).toEqual([undefined, 500]);
    issuer.behave("well");
    nowMs = 620_000;
    expect((await envoy.get("/", bearing(token))).response.status).toBe(200);
  });
});

describe.each(["open", "envoy", "closed"] as const)("an operator whose policy is %s", (onFault) => {
  const allowing = { operator: { onFault }, envoy: { failureModeAllow: true }, patienceMs: 50 };

  test("cannot let a request with two authorization headers pass", async () => {
    const authorization = [`Bearer ${await issuer.token()}`, "Bearer x"];
    // Envoy joins the values with a comma.
    const { request, response } = await simulate(processor(), allowing).get("/", { headers: { authorization } });
    expect([request, response.status]).toEqual([undefined, 401]);
    // Other hosts may not join them.
    const message = requestHeaders({ authorization });
    const { responses, faults } = await sendMessages(processor(), [message], { operator: { onFault } });
    expect(faults).toMatchObject([{ code: "header_ambiguous" }]);
    expect(responses.map((answer) => answer.response.case)).toEqual(["immediateResponse"]);
  });

  test("cannot let a request pass before there are keys", async () => {
    const token = await issuer.token();
    for (const behaviour of ["failing", "talking", "silent"] as const) {
      issuer.behave(behaviour);
      const { request, response } = await simulate(processor(), allowing).get("/", bearing(token));
      expect([behaviour, request, response.status]).toEqual([behaviour, undefined, 503]);
    }
    await issuer.close();
    const { request, response } = await simulate(processor(), allowing).get("/", bearing(token));
    expect([request, response.status]).toEqual([undefined, 503]);
  });

  test.each(["failing", "talking", "silent"] as const)(
    "cannot let a request with an unknown key pass while the issuer is %s",
    async (behaviour) => {
      const envoy = simulate(processor(), allowing);
      await envoy.get("/");
      await issuer.rotate();
      issuer.behave(behaviour);
      nowMs = 11_000;
      const { request, response, faults } = await envoy.get("/", bearing(await issuer.token()));
      expect([request, response.status]).toEqual([undefined, 500]);
      expect(faults).toMatchObject([{ code: behaviour === "silent" ? "handler_timeout" : "handler_threw" }]);
    },
  );
});
