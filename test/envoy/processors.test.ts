import { afterEach, describe, expect, test } from "vitest";
import { createHeaderModifier } from "../../src/builtin/header-modifier.ts";
import { hello } from "../../src/builtin/hello.ts";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import { appendHeader, immediateResponse, removeHeader, setHeader } from "../../src/processor/effects.ts";
import { header } from "../../src/protocol/headers/headers.ts";
import { type EnvoyRig, envoyBinary, misbehaviour, NO_MISBEHAVIOUR, startEnvoyRig } from "./envoy-rig.ts";

let rig: EnvoyRig | undefined;

afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

const TRAILERS_SENT = {
  processing_mode: {
    request_body_mode: "STREAMED",
    response_body_mode: "STREAMED",
    request_trailer_mode: "SEND",
    response_trailer_mode: "SEND",
  },
};

describe.skipIf(envoyBinary === undefined)("processors behind a real Envoy", () => {
  test("set, append and remove act on the headers that upstream and client see", async () => {
    const edit = defineProcessor({
      name: "edit",
      requestHeaders: () => [
        setHeader("x-set", "new"),
        appendHeader("x-append", "second"),
        removeHeader("x-remove"),
        setHeader("x-bytes", Uint8Array.of(0xe4, 0x80, 0xff)),
      ],
      responseHeaders: () => [
        appendHeader("set-cookie", "a=1"),
        appendHeader("set-cookie", "b=2"),
        setHeader(":status", "201"),
      ],
    });
    rig = await startEnvoyRig(edit);
    const response = await rig.send({
      headers: { "x-set": ["old", "older"], "x-append": "first", "x-remove": "gone" },
    });
    const seen = rig.upstream.seen[0]?.headers;
    expect(seen).toMatchObject({ "x-set": "new", "x-append": "first, second", "x-bytes": "\u00e4\u0080\u00ff" });
    expect(seen).not.toHaveProperty("x-remove");
    expect(response.status).toBe(201);
    expect(response.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a client cannot bypass a processor with bytes that are not UTF-8", async () => {
    const guard = defineProcessor({ name: "guard", requestHeaders: () => immediateResponse(403) });
    rig = await startEnvoyRig(guard, { failure_mode_allow: true, request_attributes: ["request.useragent"] });
    const response = await rig.send({ headers: { "user-agent": "a\u00ff\u00feb" } });
    expect(response.status).toBe(403);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a header that one processor sets and a later one removes does not reach the upstream", async () => {
    const first = defineProcessor({ name: "first", requestHeaders: () => setHeader("x-secret", "1") });
    const second = defineProcessor({ name: "second", requestHeaders: () => removeHeader("x-secret") });
    rig = await startEnvoyRig(compose(first, second));
    await rig.send({});
    expect(rig.upstream.seen[0]?.headers).not.toHaveProperty("x-secret");
  });

  test("trailer handlers edit the trailers of both directions", async () => {
    const edit = defineProcessor({
      name: "trailers",
      requestTrailers: (trailers) => setHeader("x-seen-by-handler", header(trailers, "x-client-trailer") ?? "none"),
      responseTrailers: async () => setHeader("x-added", "yes"),
    });
    rig = await startEnvoyRig(edit, TRAILERS_SENT);
    const response = await rig.send({
      method: "POST",
      headers: { trailer: "x-client-trailer" },
      chunks: [Buffer.from("body")],
      trailers: { "x-client-trailer": "sent" },
    });
    expect(rig.upstream.seen[0]?.trailers).toEqual({ "x-client-trailer": "sent", "x-seen-by-handler": "sent" });
    expect(response.trailers).toEqual({ "x-upstream-trailer": "kept", "x-added": "yes" });
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("an immediate response reaches the client, and the upstream sees nothing", async () => {
    const deny = defineProcessor({
      name: "deny",
      async requestHeaders(_headers, tx) {
        if (tx.request.path !== "/admin") return undefined;
        return immediateResponse(403, { json: { error: "forbidden" }, headers: { "x-why": ["path", "rule"] } });
      },
    });
    rig = await startEnvoyRig(deny);
    const denied = await rig.send({ path: "/admin" });
    const passed = await rig.send({ path: "/" });
    expect([denied.status, passed.status]).toEqual([403, 200]);
    expect(denied.body.toString()).toBe('{"error":"forbidden"}');
    expect(denied.headers).toMatchObject({ "content-type": "application/json", "x-why": "path, rule" });
    expect(rig.upstream.seen.map(({ path }) => path)).toEqual(["/"]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("header-modifier obeys its control header, takes it away and leaves routing headers alone", async () => {
    const problems: string[] = [];
    rig = await startEnvoyRig(
      compose(
        hello,
        createHeaderModifier((problem) => problems.push(problem)),
      ),
    );
    const control = JSON.stringify({ "X-Tenant": "blue", authorization: "forged", ":path": "/admin", "x-number": 1 });
    const response = await rig.send({ headers: { "request-header-modifier": control } });
    const [seen] = rig.upstream.seen;
    expect(response.status).toBe(200);
    expect(seen?.path).toBe("/");
    expect(seen?.headers).toMatchObject({ "x-tenant": "blue", "x-ext-proc-header": "hello-to-asm" });
    expect(seen?.headers).not.toHaveProperty("authorization");
    expect(seen?.headers).not.toHaveProperty("request-header-modifier");
    expect(problems).toEqual(["name_refused", "value_not_a_string"]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a processor that fails costs its own transaction a 500, and no other", async () => {
    const fragile = defineProcessor({
      name: "fragile",
      requestHeaders(_headers, tx) {
        if (tx.request.path === "/throw") throw new Error(`cannot stand ${tx.request.get("x-secret")}`);
        return setHeader("x-passed", "yes");
      },
      async responseHeaders(_headers, tx) {
        if (tx.request.path === "/reject") throw new TypeError("late");
      },
    });
    rig = await startEnvoyRig(fragile);
    const { send } = rig;
    const paths = ["/", "/throw", "/", "/reject", "/"];
    const statuses = await Promise.all(
      paths.map(async (path) => (await send({ path, headers: { "x-secret": "s3cr3t" } })).status),
    );
    expect(statuses).toEqual([200, 500, 200, 500, 200]);
    const faults = rig.logLines.filter((line) => "fault" in line);
    expect(faults).toMatchObject([
      { fault: "handler_threw", source: "handler", processor: "fragile" },
      { fault: "handler_threw", source: "handler", processor: "fragile" },
    ]);
    expect(JSON.stringify(rig.logLines)).not.toContain("s3cr3t");
  });

  test("observability mode shows the processor every message and changes nothing", async () => {
    const seen: string[] = [];
    const observer = defineProcessor({
      name: "observer",
      requestHeaders(_headers, tx) {
        seen.push(`request ${tx.request.path} ${tx.observability}`);
        return [setHeader("x-changed", "1"), immediateResponse(403)];
      },
      responseHeaders(_headers, tx) {
        seen.push(`response ${tx.response?.status}`);
        return setHeader("x-changed", "1");
      },
    });
    rig = await startEnvoyRig(observer, { observability_mode: true, deferred_close_timeout: "0.05s" });
    const response = await rig.send({ path: "/watched" });
    expect(response.status).toBe(200);
    expect(response.headers).not.toHaveProperty("x-changed");
    expect(rig.upstream.seen[0]?.headers).not.toHaveProperty("x-changed");
    await expect.poll(() => seen).toEqual(["request /watched true", "response 200"]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("grpc_initial_metadata of the filter reaches handlers as tx.grpcMetadata", async () => {
    const reader = defineProcessor({
      name: "reader",
      requestHeaders: (_headers, tx) => setHeader("x-tenant", tx.grpcMetadata.get("x-tenant-of-route") ?? "none"),
    });
    const envoyGrpc = { cluster_name: "ext-proc", authority: "ext-proc" };
    rig = await startEnvoyRig(reader, {
      grpc_service: { envoy_grpc: envoyGrpc, initial_metadata: [{ key: "x-tenant-of-route", value: "blue" }] },
    });
    await rig.send({});
    expect(rig.upstream.seen[0]?.headers["x-tenant"]).toBe("blue");
  });
});
