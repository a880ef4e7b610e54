import { expect } from "vitest";
import { appendChunk, defineProcessor, replaceText, setHeader } from "../../../src/index.ts";
import { eventually } from "./eventually.ts";
import { envoyRows } from "./row.ts";
import { FAIL_OPEN, on, scripted } from "./script-scenes.ts";
import { served } from "./served.ts";

const DUPLEX = { request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" };
const BOTH = { ...DUPLEX, response_body_mode: "FULL_DUPLEX_STREAMED", response_trailer_mode: "SEND" };
const POST = { method: "POST", body: "client's body" };
const TRAILED = { ...POST, trailers: { "x-t": "1" } };

const whole = defineProcessor({
  name: "whole",
  requestBody: {
    read: "text",
    handle: (text) => [replaceText(`<${text}>`.repeat(20_000)), setHeader("x-length", String(text.length))],
  },
  requestTrailers: () => setHeader("x-seen", "yes"),
});

function streamed(body: string, endOfStream: boolean) {
  return {
    send: { requestBody: { response: { bodyMutation: { streamedResponse: { body, endOfStream } } } } } as never,
  };
}

envoyRows("full-duplex bodies", (row) => {
  row(
    "row 77: the answer to the headers waits for the whole body, which then leaves in pieces",
    { scenes: { held: { server: served(whole), filter: { processing_mode: DUPLEX } } } },
    async ({ held }) => {
      expect((await held.send(POST)).status).toBe(200);
      expect(held.upstream[0]?.body).toBe("<client's body>".repeat(20_000));
      expect(held.upstream[0]?.headers["x-length"]).toBe("13");
    },
  );

  row(
    "row 78: trailers end a body that has no end of stream, and are changed",
    { scenes: { trailed: { server: served(whole), filter: { processing_mode: DUPLEX } } } },
    async ({ trailed }) => {
      expect((await trailed.send(TRAILED)).status).toBe(200);
      expect(trailed.upstream[0]?.body).toBe("<client's body>".repeat(20_000));
      expect(trailed.upstream[0]?.trailers).toEqual({ "x-t": "1", "x-seen": "yes" });
    },
  );

  row(
    "row 79: an end of stream before trailers, or trailers that never came, hang the transaction",
    {
      since: "1.38",
      scenes: {
        surplusEnd: {
          server: scripted(on("requestBody"), on("requestTrailers", streamed("body", true))),
          filter: { processing_mode: DUPLEX },
          manager: { stream_idle_timeout: "1s" },
        },
        surplusTrailers: {
          server: scripted({ on: "requestBody", endOfStream: true, do: [{ send: { requestTrailers: {} } as never }] }),
          filter: { processing_mode: DUPLEX },
          manager: { stream_idle_timeout: "1s" },
        },
      },
    },
    async ({ surplusEnd, surplusTrailers }) => {
      const statuses = await Promise.all([surplusEnd.send(TRAILED), surplusTrailers.send(POST)]);
      for (const { status } of statuses) expect([408, 504, undefined]).toContain(status);
    },
  );

  row(
    "row 80: a handler sends back as many pieces as it likes",
    {
      scenes: {
        more: {
          server: served(
            defineProcessor({
              name: "doubler",
              requestBody: {
                read: "stream",
                async *handle(chunks) {
                  for await (const chunk of chunks) for (const byte of chunk) yield Uint8Array.of(byte, byte);
                },
              },
            }),
          ),
          filter: { processing_mode: DUPLEX },
        },
        fewer: {
          server: served(
            defineProcessor({
              name: "counter",
              state: () => ({ count: 0 }),
              requestBody: {
                read: "chunks",
                chunk(bytes, tx) {
                  tx.state.count += bytes.length;
                  return new Uint8Array();
                },
                end: (tx) => appendChunk(`${tx.state.count}`),
              },
            }),
          ),
          filter: { processing_mode: DUPLEX },
        },
      },
    },
    async ({ more, fewer }) => {
      expect((await more.send({ method: "POST", body: "abc" })).status).toBe(200);
      expect(more.upstream[0]?.body).toBe("aabbcc");
      expect((await fewer.send({ method: "POST", body: "x".repeat(300_000) })).status).toBe(200);
      expect(fewer.upstream[0]?.body).toBe("300000");
    },
  );

  row(
    "row 81: an empty body goes back as an end of stream alone",
    { scenes: { empty: { server: scripted(), filter: { processing_mode: DUPLEX } } } },
    async ({ empty }) => {
      const request = empty.open({ method: "POST", headers: { "transfer-encoding": "chunked" } });
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(empty.upstream[0]).toMatchObject({ body: "", end: "complete" });
    },
  );

  row(
    "row 82: an answer without streamed_response is spurious",
    {
      scenes: {
        plain: {
          server: scripted(
            on("requestBody", { send: { requestBody: { response: { bodyMutation: { body: "new" } } } } as never }),
          ),
          filter: { processing_mode: DUPLEX },
          counters: { spurious_msgs_received: 1 },
        },
        empty: {
          server: scripted(on("requestBody", { send: { requestBody: {} } as never })),
          filter: { processing_mode: DUPLEX },
          counters: { spurious_msgs_received: 1 },
        },
      },
    },
    async ({ plain, empty }) => {
      for (const scene of [plain, empty]) expect((await scene.send(POST)).status).toBe(500);
    },
  );

  row(
    "row 83: a streamed_response in STREAMED is a 500, and in BUFFERED it changes nothing",
    {
      scenes: {
        streamed: {
          server: scripted(on("requestBody", streamed("new", true))),
          filter: { processing_mode: { request_body_mode: "STREAMED" } },
          counters: { spurious_msgs_received: 1 },
        },
        buffered: {
          server: scripted(
            on("requestBody", streamed("new", true)),
            on("requestHeaders", {
              send: {
                requestHeaders: { response: { headerMutation: { removeHeaders: ["content-length"] } } },
              } as never,
            }),
          ),
          filter: { processing_mode: { request_body_mode: "BUFFERED" } },
        },
      },
    },
    async ({ streamed: wrong, buffered }) => {
      // A body that is complete when its headers are answered would be taken for a buffered one.
      const request = wrong.open({ method: "POST" });
      request.write("some");
      await eventually(() => expect(wrong.server.calls.length).toBe(1));
      request.write("more");
      expect((await request.outcome).status).toBe(500);
      expect((await buffered.send(POST)).status).toBe(200);
      expect(buffered.upstream[0]?.body).toBe(POST.body);
    },
  );

  row(
    "row 84: 20 MiB go both ways at once, byte for byte",
    {
      scenes: {
        echo: {
          server: served(
            defineProcessor({
              name: "echo",
              requestBody: { read: "chunks", chunk: (bytes) => bytes },
              responseBody: { read: "chunks", chunk: (bytes) => bytes },
            }),
          ),
          filter: { processing_mode: BOTH },
          respond: (response, { body }) => void response.end(body, "latin1"),
        },
      },
    },
    async ({ echo }) => {
      const body = Buffer.alloc(20 << 20, "0123456789abcde").toString("latin1");
      const outcome = await echo.send({ method: "POST", body });
      expect(outcome.status).toBe(200);
      expect(outcome.body === body).toBe(true);
    },
  );

  row(
    "row 85: a failure after the body began fails the transaction, whatever failure_mode_allow says",
    {
      scenes: {
        failing: {
          server: scripted({ on: "requestBody", nth: 1, do: [{ end: 13 }] }),
          filter: { processing_mode: DUPLEX, ...FAIL_OPEN },
          counters: { streams_failed: 1 },
        },
      },
    },
    async ({ failing }) => {
      expect((await failing.send(POST)).status).toBe(500);
    },
  );

  row(
    "row 86: a request without a body needs no more than an answer to its headers",
    { scenes: { bodiless: { server: served(whole), filter: { processing_mode: DUPLEX } } } },
    async ({ bodiless }) => {
      expect((await bodiless.send()).status).toBe(200);
      expect(bodiless.upstream[0]?.body).toBe("");
    },
  );
});
