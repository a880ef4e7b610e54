import { expect } from "vitest";
import { appendHeader, defineProcessor, type HttpHeaders, removeHeader, setHeader } from "../../../src/index.ts";
import { eventually } from "./eventually.ts";
import { gate } from "./gate.ts";
import { envoyRows } from "./row.ts";
import type { SceneServer } from "./scene.ts";
import { served } from "./served.ts";

/** The values of a header as they came, byte by byte. */
function bytesOf(headers: HttpHeaders | undefined, name: string): (readonly number[])[] {
  return (headers?.headers?.headers ?? []).filter(({ key }) => key === name).map(({ rawValue }) => [...rawValue]);
}

const latin1 = (text: string) => [...Buffer.from(text, "latin1")];

envoyRows("our server and library", (row) => {
  const thrower = defineProcessor({
    name: "thrower",
    requestHeaders(_headers, tx) {
      if (tx.request.path === "/throw") throw new Error("on purpose");
    },
  });

  row(
    "row 20: a handler that throws ends its stream with INTERNAL, the client gets 500, and the process survives",
    {
      scenes: {
        closed: { server: served(thrower), counters: { streams_failed: 1 } },
        open: {
          server: served(thrower),
          filter: { failure_mode_allow: true },
          counters: { streams_failed: 1, failure_mode_allowed: 1 },
        },
      },
    },
    async ({ closed, open }) => {
      expect((await closed.send({ path: "/throw" })).status).toBe(500);
      expect((await closed.send({ path: "/after" })).status).toBe(200);
      const [thrown] = await closed.logged(2);
      expect(thrown?.details).toMatch(/^ext_proc_error_gRPC_error_13\{handler_threw:_/);
      expect(closed.upstream.map(({ path }) => path)).toEqual(["/after"]);
      expect(closed.server.logLines()).toContainEqual(
        expect.objectContaining({ fault: "handler_threw", processor: "thrower" }),
      );
      expect(await open.send({ path: "/throw" })).toMatchObject({ status: 200, body: "from upstream" });
    },
  );

  const TRANSACTIONS = 500;
  const everyone = gate();
  let waiting = 0;
  const stateful = defineProcessor({
    name: "stateful",
    timeoutMs: 20_000,
    state: () => ({ id: "none" }),
    async requestHeaders(_headers, tx) {
      tx.state.id = tx.request.get("x-id") ?? "missing";
      waiting += 1;
      if (waiting === TRANSACTIONS) everyone.open();
      await everyone.opened;
      return setHeader("x-upstream-id", tx.state.id);
    },
    responseHeaders: (_headers, tx) => setHeader("x-client-id", tx.state.id),
  });

  row(
    "row 21: 500 transactions that wait for each other on one connection never mix their state",
    {
      scenes: {
        only: {
          server: served(stateful, { envoy: { messageTimeoutMs: 30_000 } }),
          filter: { message_timeout: "30s" },
        },
      },
    },
    async ({ only }) => {
      const ids = Array.from({ length: TRANSACTIONS }, (_, index) => `transaction-${index}`);
      const outcomes = await Promise.all(ids.map((id) => only.send({ path: `/${id}`, headers: { "x-id": id } })));
      expect(outcomes.map(({ headers }) => headers["x-client-id"])).toEqual(ids);
      expect(only.upstream).toHaveLength(TRANSACTIONS);
      for (const { path, headers } of only.upstream) expect(headers["x-upstream-id"]).toBe(path.slice(1));
      expect(await only.server.metric("ext_proc_http2_connections_opened_total")).toBe(1);
    },
  );

  const held = gate();
  const live = gate();
  const slow = defineProcessor({
    name: "slow",
    timeoutMs: 20_000,
    requestHeaders: () => setHeader("x-processed", "yes"),
    async responseHeaders() {
      live.open();
      await held.opened;
      return setHeader("x-processed", "yes");
    },
  });

  row(
    "row 22: a drain lets live streams complete, and new ones fail with UNAVAILABLE",
    { scenes: { only: { server: served(slow), counters: { streams_failed: 1 } } } },
    async ({ only }) => {
      const first = only.send({ path: "/live" });
      await live.opened;
      const drained = only.server.server.drain();
      // The listener closes in the course of the drain; until then new streams are still taken.
      await eventually(async () => expect(await canConnect(only.server)).toBe(false));
      expect((await only.send({ path: "/new" })).status).toBe(500);
      held.open();
      expect(await first).toMatchObject({ status: 200, headers: { "x-processed": "yes" } });
      await drained;
      const lines = await only.logged(2);
      expect(lines.find(({ code }) => code === 500)?.details).toMatch(/^ext_proc_error_gRPC_error_14/);
      expect(only.upstream.map(({ path, headers }) => [path, headers["x-processed"]])).toEqual([["/live", "yes"]]);
    },
  );

  row(
    "row 23: a request header is added, another removed, and the client's other headers stay as they are",
    {
      scenes: {
        only: {
          server: served(
            defineProcessor({
              name: "edit",
              requestHeaders: () => [setHeader("x-new", "new"), removeHeader("x-remove-this")],
            }),
          ),
        },
      },
    },
    async ({ only }) => {
      const headers = { "x-remove-this": "yes", "x-keep": "kept", accept: "text/plain" };
      expect((await only.send({ headers })).status).toBe(200);
      const [seen] = only.upstream;
      expect(seen?.headers).toMatchObject({ "x-new": "new", "x-keep": "kept", accept: "text/plain" });
      expect(seen?.headers).not.toHaveProperty("x-remove-this");
    },
  );

  row(
    "row 24: a response header is added, and :status is replaced",
    {
      scenes: {
        only: {
          server: served(
            defineProcessor({
              name: "created",
              responseHeaders: () => [setHeader("x-response-processed", "yes"), setHeader(":status", "201")],
            }),
          ),
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 201, body: "from upstream" });
      expect(outcome.headers).toMatchObject({ "x-response-processed": "yes", "x-upstream": "yes" });
    },
  );

  const HIGH_BYTES = Uint8Array.from({ length: 0x80 }, (_, index) => 0x80 + index);
  const NOT_UTF8 = "a\u00ff\u00fe\u0080b";
  let requestBytes: (readonly number[])[] = [];
  let responseBytes: (readonly number[])[] = [];

  row(
    "row 27: bytes that are not UTF-8 reach the server as they are, and 0x80 to 0xFF arrive on both sides",
    {
      scenes: {
        only: {
          server: served(
            defineProcessor({
              name: "bytes",
              requestHeaders(headers) {
                requestBytes = bytesOf(headers, "x-client-bytes");
                return setHeader("x-high", HIGH_BYTES);
              },
              responseHeaders(headers) {
                responseBytes = bytesOf(headers, "x-upstream-bytes");
                return setHeader("x-high", HIGH_BYTES);
              },
            }),
          ),
          respond: (response) => response.setHeader("x-upstream-bytes", NOT_UTF8).end(),
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({ headers: { "x-client-bytes": NOT_UTF8 } });
      expect(outcome.status).toBe(200);
      expect(requestBytes).toEqual([latin1(NOT_UTF8)]);
      expect(responseBytes).toEqual([latin1(NOT_UTF8)]);
      expect(latin1(String(only.upstream[0]?.headers["x-high"]))).toEqual([...HIGH_BYTES]);
      expect(latin1(String(outcome.headers["x-high"]))).toEqual([...HIGH_BYTES]);
    },
  );

  row(
    "row 28: two appended values stand behind the one that is there",
    {
      scenes: {
        only: {
          server: served(
            defineProcessor({
              name: "append",
              requestHeaders: () => [appendHeader("x-list", "two"), appendHeader("x-list", "three")],
              responseHeaders: () => [appendHeader("x-list", "two"), appendHeader("x-list", "three")],
            }),
          ),
          respond: (response) => response.setHeader("x-list", "one").end(),
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({ headers: { "x-list": "one" } });
      const three = [1, 2, 3].map((_, index) => ["x-list", ["one", "two", "three"][index]]);
      expect(only.upstream[0]?.headerLines.filter(([name]) => name === "x-list")).toEqual(three);
      expect(outcome.headerLines.filter(([name]) => name === "x-list")).toEqual(three);
    },
  );

  let requestDuplicates: (readonly number[])[] = [];
  let responseCookies: (readonly number[])[] = [];

  row(
    "row 46: a client's two headers of one name are two entries in order, and so are set-cookie of the upstream",
    {
      scenes: {
        only: {
          server: served(
            defineProcessor({
              name: "duplicates",
              requestHeaders(headers) {
                requestDuplicates = bytesOf(headers, "x-a");
              },
              responseHeaders(headers) {
                responseCookies = bytesOf(headers, "set-cookie");
              },
            }),
          ),
          respond: (response) => response.setHeader("set-cookie", ["a=1", "b=2"]).end(),
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({ headers: { "x-a": ["first", "second"] } });
      expect(requestDuplicates).toEqual([latin1("first"), latin1("second")]);
      expect(responseCookies).toEqual([latin1("a=1"), latin1("b=2")]);
      expect(outcome.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
      expect(only.upstream[0]?.headerLines.filter(([name]) => name === "x-a")).toEqual([
        ["x-a", "first"],
        ["x-a", "second"],
      ]);
    },
  );
});

async function canConnect({ port }: SceneServer): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );
}
