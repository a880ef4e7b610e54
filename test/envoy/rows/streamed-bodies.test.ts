import { connect } from "node:net";
import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor } from "../../../src/index.ts";
import { upper } from "../../session/body/upper.ts";
import { isSince } from "./envoy-release.ts";
import { envoyRows } from "./row.ts";
import { FAIL_OPEN, mutate, on, scripted, setting } from "./script-scenes.ts";
import { served } from "./served.ts";

const STREAMED = { request_body_mode: "STREAMED" };
const POST = { method: "POST", body: "client's body" };
const HUNDRED_MIB = 100 << 20;

function bodies(
  received: readonly { readonly request: { readonly case: string | undefined } }[],
  kind = "requestBody",
): number {
  return received.filter(({ request }) => request.case === kind).length;
}

/** Headers by which a client asks for another protocol. */
const UPGRADE =
  "GET / HTTP/1.1\r\nhost: example.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** The first line of what comes back; empty if nothing does for two seconds. */
function upgrade(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(UPGRADE));
    const done = (line: string) => {
      socket.destroy();
      resolve(line);
    };
    socket.setTimeout(2_000, () => done(""));
    socket.on("data", (data) => done(data.toString("latin1").split("\r\n", 1)[0] ?? ""));
    socket.on("error", () => done(""));
    socket.on("close", () => done(""));
  });
}

envoyRows("bodies that are streamed", (row) => {
  row(
    "row 67: each of ten chunks is changed, and each has one answer",
    {
      scenes: {
        changed: {
          server: served(
            defineProcessor({ name: "upper", requestBody: { read: "chunks", chunk: (bytes) => upper(bytes) } }),
          ),
          filter: { processing_mode: STREAMED },
        },
      },
    },
    async ({ changed }) => {
      const request = changed.open({ method: "POST" });
      for (let chunk = 0; chunk < 10; chunk++) request.write(`chunk ${chunk};`);
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(changed.upstream[0]?.body).toBe(Array.from({ length: 10 }, (_, chunk) => `CHUNK ${chunk};`).join(""));
      const { stream_msgs_received: received, stream_msgs_sent: sent } = await changed.counters();
      expect(received).toBe(sent);
    },
  );

  row(
    "row 68: the end of a stream needs its answer too",
    {
      scenes: {
        answered: { server: scripted(), filter: { processing_mode: STREAMED } },
        silent: {
          server: scripted({ on: "requestBody", endOfStream: true, do: [] }),
          filter: { processing_mode: STREAMED, message_timeout: "0.5s" },
          counters: { message_timeouts: 1 },
        },
      },
    },
    async ({ answered, silent }) => {
      expect((await answered.send(POST)).status).toBe(200);
      expect((await silent.send(POST)).status).toBe(504);
    },
  );

  row(
    "row 69: several chunks answered late, and in order, arrive in order",
    {
      scenes: {
        late: {
          server: scripted({ on: "requestBody", nth: 1, do: [{ waitMs: 300 }, "neutral"] }),
          filter: { processing_mode: STREAMED },
        },
      },
    },
    async ({ late }) => {
      const request = late.open({ method: "POST" });
      for (let chunk = 0; chunk < 5; chunk++) request.write(`${chunk}`);
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(late.upstream[0]?.body).toBe("01234");
    },
  );

  row(
    "row 70: a surplus answer to a body is spurious, and passes where failures may",
    {
      scenes: {
        closed: {
          server: scripted(on("requestBody", "neutral", "neutral", "neutral", "neutral")),
          filter: { processing_mode: STREAMED },
          counters: { spurious_msgs_received: 1 },
        },
        open: {
          server: scripted(on("requestBody", "neutral", "neutral", "neutral", "neutral")),
          filter: { processing_mode: STREAMED, ...FAIL_OPEN },
          counters: { spurious_msgs_received: 1, failure_mode_allowed: 1 },
        },
      },
    },
    async ({ closed, open }) => {
      expect((await closed.send(POST)).status).toBe(500);
      expect((await open.send(POST)).status).toBe(200);
      expect(open.upstream[0]?.body).toBe(POST.body);
    },
  );

  row(
    "row 71: a header mutation in the answer to a streamed chunk is ignored",
    {
      scenes: {
        ignored: {
          server: scripted({ on: "requestBody", nth: 2, do: [mutate("requestBody", setting(["x-late", "yes"]))] }),
          filter: { processing_mode: STREAMED },
        },
      },
    },
    async ({ ignored }) => {
      const request = ignored.open({ method: "POST" });
      request.write("first");
      await new Promise((resolve) => setImmediate(resolve));
      request.write("second");
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(ignored.upstream[0]?.headers["x-late"]).toBeUndefined();
    },
  );

  const AT_ONCE = { processing_mode: STREAMED, send_body_without_waiting_for_header_response: true };
  row(
    "row 72: chunks come before the headers are answered, and the headers must still be answered first",
    {
      scenes: {
        inOrder: {
          server: served(
            defineProcessor({
              name: "upper",
              async requestHeaders() {
                await new Promise((resolve) => setTimeout(resolve, 50));
              },
              requestBody: { read: "chunks", chunk: (bytes) => upper(bytes) },
            }),
          ),
          filter: AT_ONCE,
        },
        bodyFirst: {
          server: scripted(on("requestHeaders"), on("requestBody", "neutral")),
          filter: AT_ONCE,
          counters: { spurious_msgs_received: 1 },
        },
      },
    },
    async ({ inOrder, bodyFirst }) => {
      expect((await inOrder.send(POST)).status).toBe(200);
      expect(inOrder.upstream[0]?.body).toBe("CLIENT'S BODY");
      expect((await bodyFirst.send(POST)).status).toBe(500);
    },
  );

  row(
    "row 73: a response that begins before the request has ended is handled at the same time",
    {
      scenes: {
        early: {
          server: scripted(),
          filter: { processing_mode: { request_body_mode: "STREAMED", response_body_mode: "STREAMED" } },
        },
      },
    },
    async ({ early }) => {
      const request = early.open(POST);
      for (let chunk = 0; chunk < 4; chunk++) request.write("chunk");
      request.end();
      expect(await request.outcome).toMatchObject({ status: 200, body: "from upstream" });
      const { received } = await early.server.call(0);
      expect(bodies(received)).toBeGreaterThan(0);
      expect(bodies(received, "responseBody")).toBeGreaterThan(0);
    },
  );

  row(
    "row 74: an upgrade passes with STREAMED bodies, but for 1.39, which hangs",
    {
      scenes: {
        upgraded: {
          server: scripted(),
          filter: { processing_mode: { request_body_mode: "STREAMED", response_body_mode: "STREAMED" } },
          manager: { upgrade_configs: [{ upgrade_type: "websocket" }] } as JsonObject,
          upstreamPort: 1,
        },
      },
    },
    async ({ upgraded }) => {
      // No server listens there: a request that gets that far gets a 503.
      const hangs = isSince("1.39") && !isSince("1.40");
      expect(await upgrade(upgraded.port)).toBe(hangs ? "" : "HTTP/1.1 503 Service Unavailable");
    },
  );

  row(
    "row 75: a response of 100 MiB passes a stream handler, and nothing of it stays in memory",
    {
      scenes: {
        large: {
          server: served(
            defineProcessor({
              name: "streamer",
              responseBody: {
                read: "stream",
                async *handle(chunks) {
                  for await (const chunk of chunks) yield chunk;
                },
              },
            }),
          ),
          filter: { processing_mode: { response_body_mode: "STREAMED" } },
          respond(response) {
            let left = HUNDRED_MIB;
            const piece = Buffer.alloc(1 << 20, "y");
            const more = () => {
              while (left > 0) {
                left -= piece.length;
                if (!response.write(piece)) return void response.once("drain", more);
              }
              response.end();
            };
            more();
          },
        },
      },
    },
    async ({ large }) => {
      const before = process.memoryUsage().arrayBuffers;
      let most = 0;
      const watch = setInterval(() => {
        most = Math.max(most, process.memoryUsage().arrayBuffers);
      }, 20);
      const response = await fetch(`http://127.0.0.1:${large.port}/`);
      let bytes = 0;
      for await (const chunk of response.body ?? []) bytes += chunk.length;
      clearInterval(watch);
      expect(bytes).toBe(HUNDRED_MIB);
      expect(most - before).toBeLessThan(96 << 20);
    },
  );

  row(
    "row 76: content-length goes where a body is streamed, unless Envoy was told to keep it",
    {
      since: "1.38",
      scenes: {
        stripped: { server: scripted(), filter: { processing_mode: STREAMED } },
        kept: { server: scripted(), filter: { processing_mode: STREAMED, allow_content_length_header: true } },
      },
    },
    async ({ stripped, kept }) => {
      expect((await stripped.send(POST)).status).toBe(200);
      expect((await kept.send(POST)).status).toBe(200);
      expect(stripped.upstream[0]?.headers["content-length"]).toBeUndefined();
      expect(kept.upstream[0]?.headers["content-length"]).toBe("13");
    },
  );
});
