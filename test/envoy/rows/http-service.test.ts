import { expect } from "vitest";
import { compose, defineProcessor, immediateResponse, setHeader } from "../../../src/index.ts";
import { httpPeer } from "./http-peer.ts";
import { envoyRows } from "./row.ts";
import { served } from "./served.ts";

const httpServicePath = "/http-service";
const SNAKE =
  '{"request_headers":{"response":{"header_mutation":{"set_headers":[{"header":{"key":"x-snake","raw_value":"eWVz"}}]}}}}';
const NEUTRAL = { request_headers: '{"requestHeaders":{}}', response_headers: '{"responseHeaders":{}}' };

function phaseOf(body: string): keyof typeof NEUTRAL {
  return "request_headers" in JSON.parse(body) ? "request_headers" : "response_headers";
}

envoyRows("http_service", (row) => {
  const marker = defineProcessor({
    name: "marker",
    state: () => ({ calls: 0 }),
    requestHeaders(_headers, tx) {
      tx.state.calls += 1;
      return [setHeader("x-origin", tx.origin), setHeader("x-path", tx.request.path ?? "none")];
    },
    responseHeaders(_headers, tx) {
      tx.state.calls += 1;
      return [setHeader("x-status", String(tx.response?.status)), setHeader("x-calls", String(tx.state.calls))];
    },
  });
  const guard = defineProcessor({
    name: "guard",
    requestHeaders: (_headers, tx) =>
      tx.request.path === "/forbidden"
        ? immediateResponse(403, { json: { error: "ünerlaubt" }, headers: { "x-guard": "yes" } })
        : undefined,
  });

  row(
    "row 112: a mutation in camelCase or snake_case is applied, and our server answers such calls",
    {
      scenes: {
        ours: {
          server: served(compose(marker, guard), { debug: "off", httpService: true }),
          httpServicePath,
        },
        snake: {
          server: httpPeer((body) => ({
            status: 200,
            body: phaseOf(body) === "request_headers" ? SNAKE : NEUTRAL.response_headers,
          })),
          httpServicePath,
        },
      },
    },
    async ({ ours, snake }) => {
      const { status, headers, body } = await ours.send({ path: "/a?b" });
      expect({ status, body }).toEqual({ status: 200, body: "from upstream" });
      expect(ours.upstream[0]?.headers).toMatchObject({ "x-origin": "http_service", "x-path": "/a?b" });
      // Each call has its own state: nothing joins the two.
      expect(headers).toMatchObject({ "x-status": "200", "x-calls": "1" });
      expect(await ours.server.metric('ext_proc_streams_total{result="completed",origin="http_service"}')).toBe(2);
      await snake.send();
      expect(snake.upstream[0]?.headers).toMatchObject({ "x-snake": "yes" });
    },
  );

  const broken = { status: 503, body: "" };
  row(
    "row 113: 503, an empty body and malformed JSON fail the request, and pass with failure_mode_allow",
    {
      scenes: {
        unavailable: { server: httpPeer(() => broken), httpServicePath },
        empty: {
          server: httpPeer(() => ({ status: 200, body: "" })),
          httpServicePath,
        },
        malformed: {
          server: httpPeer(() => ({ status: 200, body: "{nope" })),
          httpServicePath,
        },
        open: {
          server: httpPeer(() => broken),
          httpServicePath,
          filter: { failure_mode_allow: true },
          counters: { failure_mode_allowed: 1 },
        },
      },
    },
    async ({ unavailable, empty, malformed, open }) => {
      for (const scene of [unavailable, empty, malformed]) {
        expect((await scene.send()).status).toBe(500);
        expect(scene.upstream).toEqual([]);
      }
      expect(await unavailable.counters()).toMatchObject({ http_not_ok_resp_received: 1 });
      expect(await open.send()).toMatchObject({ status: 200, body: "from upstream" });
    },
  );

  row(
    "row 114: an immediate response, its body in base64, goes to the client",
    { scenes: { only: { server: served(guard, { httpService: true }), httpServicePath } } },
    async ({ only }) => {
      const { status, headers, body } = await only.send({ path: "/forbidden" });
      expect(status).toBe(403);
      expect(headers).toMatchObject({ "x-guard": "yes", "content-type": "application/json" });
      expect(JSON.parse(Buffer.from(body, "latin1").toString())).toEqual({ error: "ünerlaubt" });
      expect(only.upstream).toEqual([]);
    },
  );

  row(
    "row 115: both calls of a transaction have the same x-request-id",
    {
      scenes: {
        only: { server: httpPeer((body) => ({ status: 200, body: NEUTRAL[phaseOf(body)] })), httpServicePath },
      },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(200);
      const { asked } = only.server;
      expect(asked.map(({ body }) => phaseOf(body))).toEqual(["request_headers", "response_headers"]);
      const [first, second] = asked.map(({ headers }) => headers["x-request-id"]);
      expect(first).toMatch(/^\d+$/);
      expect(second).toBe(first);
      expect(asked[0]?.headers).toMatchObject({ ":method": "POST", ":path": httpServicePath });
    },
  );

  row(
    "row 116: an answer that does not come is a 504",
    {
      scenes: {
        only: {
          server: httpPeer(() => "never"),
          httpServicePath,
          filter: { message_timeout: "0.2s" },
          counters: { message_timeouts: 1 },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(504);
      expect(only.upstream).toEqual([]);
    },
  );
});
