import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { Action, Rule } from "../../scenarios/script.ts";
import { envoyVersion, isSince } from "./envoy-release.ts";
import { gate } from "./gate.ts";
import { sendGrpc } from "./grpc-request.ts";
import { envoyRows } from "./row.ts";
import type { Scene } from "./scene.ts";
import type { Respond } from "./scene-upstream.ts";
import { on, scripted, setting } from "./script-scenes.ts";

/** An immediate response, as a script sends it. */
function immediate(fields: JsonObject): Action {
  return { send: { immediateResponse: fields } as never };
}

const UNAUTHORIZED = immediate({
  status: { code: 401 },
  headers: setting(["x-why", "no token"], ["content-type", "application/json"]),
  body: '{"error":"no token"}',
  details: "no token",
});
const SENT: Readonly<Record<string, number>> = isSince("1.37") ? { immediate_responses_sent: 1 } : {};
const POST = { method: "POST", body: "client's body" };

function denying(kind: Rule["on"], processingMode: JsonObject = {}) {
  return { server: scripted(on(kind, UNAUTHORIZED)), filter: { processing_mode: processingMode }, counters: SENT };
}

async function expectDenied(scene: Scene, request = {}): Promise<void> {
  const outcome = await scene.send({ ...POST, ...request });
  expect(outcome).toMatchObject({ status: 401, body: '{"error":"no token"}', complete: true });
  expect(outcome.headers).toMatchObject({ "x-why": "no token", "content-type": "application/json" });
  expect(outcome.headers).not.toHaveProperty("x-upstream");
  expect((await scene.logged())[0]).toMatchObject({ code: 401, details: "no_token" });
}

/** Sends a first chunk, and a second one when it is told to. */
function inTwoChunks(second: Promise<void>): Respond {
  return (response) => {
    response.setHeader("x-upstream", "yes");
    response.write("one ");
    void second.then(() => response.end("two"));
  };
}

envoyRows("immediate responses", (row) => {
  row(
    "row 98: an immediate response in a request phase reaches the client, and the upstream sees no whole request",
    {
      scenes: {
        headers: denying("requestHeaders"),
        body: denying("requestBody", { request_body_mode: "BUFFERED" }),
        trailers: denying("requestTrailers", { request_body_mode: "BUFFERED", request_trailer_mode: "SEND" }),
        streamed: denying("requestBody", { request_body_mode: "STREAMED" }),
      },
    },
    async ({ headers, body, trailers, streamed }) => {
      await expectDenied(headers);
      await expectDenied(body);
      await expectDenied(trailers, { headers: { trailer: "x-end" }, trailers: { "x-end": "1" } });
      expect([headers, body, trailers].map(({ upstream }) => upstream.length)).toEqual([0, 0, 0]);
      expect((await trailers.server.call(0)).kinds).toEqual(["requestHeaders", "requestBody", "requestTrailers"]);
      await expectDenied(streamed);
      for (const { end } of streamed.upstream) expect(end).not.toBe("complete");
    },
  );

  row(
    "row 99: an immediate response at the response headers, or at a buffered body, takes the response's place",
    {
      scenes: {
        headers: denying("responseHeaders"),
        buffered: denying("responseBody", { response_body_mode: "BUFFERED" }),
        partial: denying("responseBody", { response_body_mode: "BUFFERED_PARTIAL" }),
      },
    },
    async (scenes) => {
      for (const scene of Object.values(scenes)) {
        await expectDenied(scene);
        expect(scene.upstream).toMatchObject([{ body: POST.body, end: "complete" }]);
      }
    },
  );

  // 1.39.3 holds the response headers until the first body answer.
  const holdsHeaders = envoyVersion.startsWith("1.39.");
  const second = gate();
  const STREAMED_RESPONSE = { processing_mode: { response_body_mode: "STREAMED" } };
  row(
    "row 100: an immediate response to a STREAMED chunk resets the client, whose response has begun",
    {
      scenes: {
        later: {
          server: scripted({ on: "responseBody", nth: 2, do: [UNAUTHORIZED] }),
          filter: STREAMED_RESPONSE,
          respond: inTwoChunks(second.opened),
        },
        first: {
          server: scripted({ on: "responseBody", nth: 1, do: [{ waitMs: 100 }, UNAUTHORIZED] }),
          filter: STREAMED_RESPONSE,
          respond: inTwoChunks(new Promise(() => undefined)),
        },
      },
    },
    async ({ later, first }) => {
      const outcome = later.send();
      const call = await later.server.call(0);
      // The first chunk's answer lets it go, and with it the headers in any release.
      await call.until(() => call.sent.length === 3);
      second.open();
      expect(await outcome).toMatchObject({ status: 200, headers: { "x-upstream": "yes" }, complete: false });
      const { status, complete } = await first.send();
      expect({ status, complete }).toEqual(
        holdsHeaders ? { status: 401, complete: true } : { status: 200, complete: false },
      );
    },
  );

  const withStatus = (status: JsonObject) => ({
    server: scripted(on("requestHeaders", immediate({ ...status, body: "ok?" }))),
    counters: SENT,
  });
  row(
    "row 101: an immediate response with a status below 200, or with none, is a 200",
    {
      scenes: {
        low: withStatus({ status: { code: 100 } }),
        zero: withStatus({ status: {} }),
        unset: withStatus({}),
        unlisted: withStatus({ status: { code: 418 } }),
      },
    },
    async ({ low, zero, unset, unlisted }) => {
      for (const scene of [low, zero, unset]) {
        expect(await scene.send()).toMatchObject({ status: 200, body: "ok?" });
        expect(scene.upstream).toEqual([]);
      }
      expect((await unlisted.send()).status).toBe(418);
    },
  );

  const denied = { status: { code: 403 }, body: "not for you" };
  row(
    "row 102: to a gRPC client an immediate response is trailers-only, with the grpc-status it has or one of its status",
    {
      scenes: {
        given: {
          server: scripted(on("requestHeaders", immediate({ ...denied, grpcStatus: { status: 5 } }))),
          counters: SENT,
        },
        derived: { server: scripted(on("requestHeaders", immediate(denied))), counters: SENT },
      },
    },
    async ({ given, derived }) => {
      for (const [scene, status] of [
        [given, "5"],
        [derived, "7"],
      ] as const) {
        const outcome = await sendGrpc(scene.port);
        expect(outcome.trailersOnly).toBe(true);
        expect(outcome.headers).toMatchObject({
          ":status": 200,
          "grpc-status": status,
          "grpc-message": "not for you",
          "content-type": "application/grpc",
        });
        expect(scene.upstream).toEqual([]);
      }
    },
  );

  row(
    "row 103: with disable_immediate_response an immediate response is spurious, and the client gets 500",
    {
      scenes: {
        closed: {
          server: scripted(on("requestHeaders", UNAUTHORIZED)),
          filter: { disable_immediate_response: true },
          counters: { spurious_msgs_received: 1 },
        },
        open: {
          server: scripted(on("requestHeaders", UNAUTHORIZED)),
          filter: { disable_immediate_response: true, failure_mode_allow: true },
          counters: { spurious_msgs_received: 1, failure_mode_allowed: 1 },
        },
      },
    },
    async ({ closed, open }) => {
      const outcome = await closed.send();
      expect(outcome).toMatchObject({ status: 500, body: "" });
      expect(outcome.headers).not.toHaveProperty("x-why");
      expect(closed.upstream).toEqual([]);
      expect(await open.send()).toMatchObject({ status: 200, body: "from upstream" });
    },
  );
});
