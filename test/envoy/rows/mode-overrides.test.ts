import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { Rule } from "../../scenarios/script.ts";
import { isSince } from "./envoy-release.ts";
import { envoyRows } from "./row.ts";
import { mutate, on, scripted } from "./script-scenes.ts";

const ALLOWED = { allow_mode_override: true };
const BOTH_BUFFERED = { requestBodyMode: "BUFFERED", responseBodyMode: "BUFFERED" };
const DUPLEX_REQUEST = { requestBodyMode: "FULL_DUPLEX_STREAMED", requestTrailerMode: "SEND" };
const WITHOUT_LENGTH = { removeHeaders: ["content-length"] };
const POST = { method: "POST", body: "client's body" };
const REWRITTEN = "a body that is quite a bit longer";

/** Answers headers with an override of modes, and with a mutation. */
function overriding(
  kind: "requestHeaders" | "responseHeaders",
  modeOverride: JsonObject,
  headerMutation: JsonObject = {},
): Rule {
  // Late, so that the whole body is there when the mode changes.
  return on(kind, { waitMs: 100 }, { send: { [kind]: { response: { headerMutation } }, modeOverride } as never });
}

function bodyMutation(mutation: JsonObject) {
  return { send: { requestBody: { response: { bodyMutation: mutation } } } as never };
}

/** Replaces a STREAMED body: nothing for the chunks, all for the last. */
const REWRITE_STREAMED: readonly Rule[] = [
  { on: "requestBody", endOfStream: false, do: [bodyMutation({ clearBody: true })] },
  { on: "requestBody", endOfStream: true, do: [bodyMutation({ body: REWRITTEN })] },
];

/** Replaces a FULL_DUPLEX_STREAMED body. */
const REWRITE_DUPLEX: readonly Rule[] = [
  { on: "requestBody", endOfStream: false, do: [] },
  {
    on: "requestBody",
    endOfStream: true,
    do: [bodyMutation({ streamedResponse: { body: REWRITTEN, endOfStream: true } })],
  },
];

envoyRows("modes", (row) => {
  const configured = {
    request_body_mode: "FULL_DUPLEX_STREAMED",
    request_trailer_mode: "SEND",
    response_body_mode: "BUFFERED",
  };
  row(
    "row 87: protocol_config has the configured body modes on the first message alone, and never while observing",
    {
      scenes: {
        only: { server: scripted(), filter: { processing_mode: configured } },
        eager: {
          server: scripted(),
          filter: {
            processing_mode: { request_body_mode: "STREAMED" },
            send_body_without_waiting_for_header_response: true,
          },
        },
        observed: {
          server: scripted(),
          filter: {
            processing_mode: { request_body_mode: "STREAMED" },
            observability_mode: true,
            deferred_close_timeout: "0.05s",
          },
        },
      },
    },
    async ({ only, eager, observed }) => {
      for (const scene of [only, eager, observed]) expect((await scene.send(POST)).status).toBe(200);
      const [first, ...later] = (await only.server.call(0)).received;
      expect(first?.protocolConfig).toMatchObject({
        requestBodyMode: 4,
        responseBodyMode: 2,
        sendBodyWithoutWaitingForHeaderResponse: false,
      });
      expect(later.length).toBeGreaterThanOrEqual(3);
      for (const message of later) expect(message.protocolConfig).toBeUndefined();
      expect((await eager.server.call(0)).received[0]?.protocolConfig).toMatchObject({
        requestBodyMode: 1,
        responseBodyMode: 0,
        sendBodyWithoutWaitingForHeaderResponse: true,
      });
      const watching = await observed.server.call(0);
      await watching.ended;
      expect(watching.received.length).toBeGreaterThanOrEqual(3);
      for (const message of watching.received) {
        expect(message.observabilityMode).toBe(true);
        expect(message.protocolConfig).toBeUndefined();
      }
    },
  );

  const toStreamed = (mutation?: JsonObject) =>
    scripted(overriding("requestHeaders", { requestBodyMode: "STREAMED" }, mutation), ...REWRITE_STREAMED);
  const toDuplex = (mutation?: JsonObject) =>
    scripted(overriding("requestHeaders", DUPLEX_REQUEST, mutation), ...REWRITE_DUPLEX);
  row(
    "row 88: an override asks for the body; STREAMED and FULL_DUPLEX_STREAMED need content-length removed to rewrite it",
    {
      scenes: {
        buffered: { server: scripted(overriding("requestHeaders", BOTH_BUFFERED)), filter: ALLOWED },
        streamed: { server: toStreamed(WITHOUT_LENGTH), filter: ALLOWED },
        streamedKept: { server: toStreamed(), filter: ALLOWED },
        duplex: { server: toDuplex(WITHOUT_LENGTH), filter: ALLOWED },
        duplexKept: { server: toDuplex(), filter: ALLOWED },
      },
    },
    async ({ buffered, streamed, streamedKept, duplex, duplexKept }) => {
      expect((await buffered.send(POST)).status).toBe(200);
      expect(buffered.upstream).toMatchObject([{ body: POST.body, headers: { "content-length": "13" } }]);
      const { received } = await buffered.server.call(0);
      expect(received.map(({ request }) => request).filter((request) => request.case === "requestBody")).toMatchObject([
        { value: { body: new TextEncoder().encode(POST.body), endOfStream: true } },
      ]);

      for (const scene of [streamed, duplex]) {
        expect((await scene.send(POST)).status).toBe(200);
        expect(scene.upstream).toMatchObject([{ body: REWRITTEN, headers: { "transfer-encoding": "chunked" } }]);
      }

      expect((await streamedKept.send(POST)).status).toBe(500);
      expect((await streamedKept.logged())[0]?.details).toMatch(/^mismatch_between_content_length/);
      expect(streamedKept.upstream).toEqual([]);
      // The surplus stays on the connection, where this upstream rejects it as a malformed second request.
      expect([200, 400]).toContain((await duplexKept.send(POST)).status);
      expect(duplexKept.upstream[0]?.body).toBe(REWRITTEN.slice(0, POST.body.length));
    },
  );

  row(
    "row 89: without allow_mode_override an override is ignored",
    { scenes: { only: { server: scripted(overriding("requestHeaders", BOTH_BUFFERED)) } } },
    async ({ only }) => {
      expect((await only.send(POST)).status).toBe(200);
      expect(only.upstream).toMatchObject([{ body: POST.body }]);
      expect((await only.server.call(0)).kinds).toEqual(["requestHeaders", "responseHeaders"]);
    },
  );

  const listed = (mode: JsonObject) => ({
    server: scripted(overriding("requestHeaders", BOTH_BUFFERED)),
    filter: { ...ALLOWED, allowed_override_modes: [mode] },
  });
  row(
    "row 90: an override that is not in allowed_override_modes, literally, is ignored",
    {
      scenes: {
        other: listed({ request_body_mode: "STREAMED" }),
        notLiteral: listed({
          request_body_mode: "BUFFERED",
          response_body_mode: "BUFFERED",
          request_trailer_mode: "SEND",
        }),
        // The merged mode has what the filter's configuration says; request_header_mode is not compared.
        same: listed({
          request_body_mode: "BUFFERED",
          response_body_mode: "BUFFERED",
          response_header_mode: "SEND",
          request_header_mode: "SKIP",
        }),
      },
    },
    async ({ other, notLiteral, same }) => {
      const kinds = [];
      for (const scene of [other, notLiteral, same]) {
        expect((await scene.send(POST)).status).toBe(200);
        kinds.push((await scene.server.call(0)).kinds.includes("requestBody"));
      }
      expect(kinds).toEqual([false, false, true]);
    },
  );

  row(
    "row 91: an override in the response headers' answer asks for the response body",
    {
      scenes: {
        only: {
          server: scripted(overriding("responseHeaders", { responseBodyMode: "STREAMED" }), {
            on: "responseBody",
            nth: 1,
            do: [{ send: { responseBody: { response: { bodyMutation: { body: "FROM UPSTREAM" } } } } as never }],
          }),
          filter: ALLOWED,
        },
      },
    },
    async ({ only }) => {
      expect(await only.send()).toMatchObject({ status: 200, body: "FROM UPSTREAM" });
      expect((await only.server.call(0)).kinds.slice(0, 3)).toEqual([
        "requestHeaders",
        "responseHeaders",
        "responseBody",
      ]);
    },
  );

  const responseBuffered = { ...ALLOWED, processing_mode: { response_body_mode: "BUFFERED" } };
  row(
    "row 92: an override sets both body modes: one that names the request's alone turns the response's to NONE",
    {
      scenes: {
        lost: {
          server: scripted(overriding("requestHeaders", { requestBodyMode: "BUFFERED" })),
          filter: responseBuffered,
        },
        restated: { server: scripted(overriding("requestHeaders", BOTH_BUFFERED)), filter: responseBuffered },
      },
    },
    async ({ lost, restated }) => {
      for (const scene of [lost, restated]) expect((await scene.send(POST)).status).toBe(200);
      expect((await lost.server.call(0)).kinds).toEqual(["requestHeaders", "requestBody", "responseHeaders"]);
      expect((await restated.server.call(0)).kinds).toEqual([
        "requestHeaders",
        "requestBody",
        "responseHeaders",
        "responseBody",
      ]);
    },
  );

  const extension = (duration: string) => ({ send: { overrideMessageTimeout: duration } as never });
  row(
    "row 93: override_message_timeout gives the answer to one message more time",
    {
      scenes: {
        only: {
          server: scripted(on("requestHeaders", extension("4s"), { waitMs: 800 }, "neutral")),
          filter: { message_timeout: "0.4s", max_message_timeout: "10s" },
          counters: { override_message_timeout_received: 1 },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(200);
    },
  );

  const refused = (filter: JsonObject, first: string) => ({
    server: scripted(on("requestHeaders", extension(first), { waitMs: 900 }, "neutral")),
    filter: { message_timeout: "0.4s", ...filter },
    counters: { message_timeouts: 1, override_message_timeout_received: 0, override_message_timeout_ignored: 1 },
  });
  row(
    "row 94: a second extension for one message, one above the maximum, and any without a maximum are ignored",
    {
      scenes: {
        second: {
          server: scripted(on("requestHeaders", extension("0.5s"), extension("5s"), { waitMs: 1_500 }, "neutral")),
          filter: { message_timeout: "0.4s", max_message_timeout: "10s" },
          counters: { message_timeouts: 1, override_message_timeout_received: 1, override_message_timeout_ignored: 1 },
        },
        tooLong: refused({ max_message_timeout: "1s" }, "2s"),
        unset: refused({}, "0.5s"),
      },
    },
    async ({ second, tooLong, unset }) => {
      const outcomes = await Promise.all([second, tooLong, unset].map((scene) => scene.send()));
      expect(outcomes.map(({ status }) => status)).toEqual([504, 504, 504]);
    },
  );

  const direct = isSince("1.40");
  row(
    "row 111: an override sent before the headers' answer takes the request to FULL_DUPLEX_STREAMED from 1.40 on",
    {
      scenes: {
        only: {
          server: scripted(
            on(
              "requestHeaders",
              { send: { modeOverride: DUPLEX_REQUEST } as never },
              mutate("requestHeaders", WITHOUT_LENGTH),
            ),
            ...REWRITE_DUPLEX,
          ),
          filter: ALLOWED,
          counters: direct ? {} : { spurious_msgs_received: 1 },
        },
      },
    },
    async ({ only }) => {
      const { status } = await only.send(POST);
      if (direct) {
        expect(status).toBe(200);
        expect(only.upstream).toMatchObject([{ body: REWRITTEN }]);
      } else {
        expect(status).toBe(500);
        expect((await only.logged())[0]?.details).toMatch(/unhandled_message/);
      }
    },
  );
});
