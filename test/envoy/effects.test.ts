import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import {
  addHeaderIfAbsent,
  appendHeader,
  clearRouteCache,
  immediateResponse,
  overwriteHeaderIfExists,
  removeHeader,
  setDynamicMetadata,
  setHeader,
  setPath,
  setStatus,
  streamedImmediateResponse,
} from "../../src/processor/effects.ts";
import { type EnvoyRig, envoyBinary, misbehaviour, NO_MISBEHAVIOUR, startEnvoyRig } from "./envoy-rig.ts";

let rig: EnvoyRig | undefined;

afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

describe.skipIf(envoyBinary === undefined)("effects behind a real Envoy", () => {
  test("the effects of composed processors equal the effects of one processor after the other", async () => {
    const first = defineProcessor({
      name: "first",
      requestHeaders: () => [
        setPath("/rewritten?a=b"),
        addHeaderIfAbsent("x-there", "no"),
        addHeaderIfAbsent("x-new", "first"),
        removeHeader("x-gone"),
      ],
      responseHeaders: () => [overwriteHeaderIfExists("x-response", "first"), setStatus(203)],
    });
    const second = defineProcessor({
      name: "second",
      requestHeaders: (_headers, tx) => [
        overwriteHeaderIfExists("x-gone", "no"),
        addHeaderIfAbsent("x-gone", "again"),
        appendHeader("x-new", "second"),
        setHeader("x-seen", `${tx.request.path} ${tx.request.get("x-new")}`),
      ],
      responseHeaders: () => setHeader("x-response", "second"),
    });
    rig = await startEnvoyRig(compose(first, second));
    const response = await rig.send({ headers: { "x-there": "yes", "x-gone": "old" } });
    expect(rig.upstream.seen[0]).toMatchObject({
      path: "/rewritten?a=b",
      headers: { "x-there": "yes", "x-new": "first, second", "x-gone": "again", "x-seen": "/rewritten?a=b first" },
    });
    expect([response.status, response.headers["x-response"]]).toEqual([203, "first"]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("Envoy obeys clearRouteCache if no header changes", async () => {
    const clear = defineProcessor({ name: "clear", requestHeaders: () => clearRouteCache() });
    rig = await startEnvoyRig(clear);
    expect((await rig.send({})).status).toBe(200);
    const counters = await rig.counters();
    expect([counters.clear_route_cache_ignored, counters.clear_route_cache_disabled]).toEqual([0, 0]);
    expect(misbehaviour(counters)).toEqual(NO_MISBEHAVIOUR);
  });

  // Envoy 1.36 does not know it and takes it for a protocol error.
  test("a streamed immediate response reaches the client with headers, body and trailers", async () => {
    const reply = defineProcessor({
      name: "reply",
      requestHeaders: () =>
        streamedImmediateResponse(202, {
          headers: { "x-a": "1" },
          chunks: ["ab", "", "x".repeat(100_000)],
          trailers: { "x-t": "2" },
        }),
    });
    rig = await startEnvoyRig(reply);
    if (/^1\.3[0-6]\./.test(rig.envoy.version)) return;
    const { status, headers, body, trailers } = await rig.send({});
    expect([status, headers["x-a"], body.length, trailers["x-t"]]).toEqual([202, "1", 100_002, "2"]);
    expect(rig.upstream.seen).toEqual([]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a streamed immediate response to a HEAD has no body, which the client would take for the next response", async () => {
    const reply = defineProcessor({
      name: "reply",
      requestHeaders: () => streamedImmediateResponse(200, { chunks: ["HTTP/1.1 200 OK\r\n\r\n"] }),
    });
    rig = await startEnvoyRig(reply);
    if (/^1\.3[0-6]\./.test(rig.envoy.version)) return;
    const socket = connect(rig.envoy.port, "127.0.0.1");
    socket.write("HEAD / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:[\w-]+: .*\r\n)+\r\n$/);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a status that has no body never leaves with one, which the client would take for the next response", async () => {
    const empty = defineProcessor({ name: "empty", onFault: "closed", responseHeaders: () => setStatus(204) });
    rig = await startEnvoyRig(empty);
    const response = await rig.send({ method: "POST", chunks: [new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n")] });
    expect(response.status).toBe(500);
  });

  test("dynamic metadata goes along with an immediate response", async () => {
    const refuse = defineProcessor({
      name: "refuse",
      requestHeaders: () => [setDynamicMetadata("demo", { user: "ada", tags: [1, null] }), immediateResponse(403)],
    });
    rig = await startEnvoyRig(refuse, { metadata_options: { receiving_namespaces: { untyped: ["demo"] } } });
    expect((await rig.send({})).status).toBe(403);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });
});
