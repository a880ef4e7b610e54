import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { Action } from "../../scenarios/script.ts";
import { envoyRows } from "./row.ts";
import { on, scripted } from "./script-scenes.ts";

/** One message of a streamed immediate response. */
function streamed(fields: JsonObject): Action {
  return { send: { streamedImmediateResponse: fields } as never };
}

function headers(end: boolean, ...more: readonly (readonly [string, string])[]): Action {
  const list = [[":status", "202"] as const, ["x-from", "server"] as const, ...more];
  return streamed({
    headersResponse: { headers: { headers: list.map(([key, rawValue]) => ({ key, rawValue })) }, endOfStream: end },
  });
}

function chunk(body: string, end: boolean): Action {
  return streamed({ bodyResponse: { body, endOfStream: end } });
}

const TRAILERS = streamed({ trailersResponse: { headers: [{ key: "x-end", rawValue: "1" }] } });
/** No release counts those that are streamed. */
const NOT_COUNTED = { immediate_responses_sent: 0 };
const SINCE = "1.37";

/** A server that does this at the request headers. */
function at(...actions: readonly Action[]) {
  return { server: scripted(on("requestHeaders", ...actions)), counters: NOT_COUNTED };
}

envoyRows("streamed immediate responses", (row) => {
  row(
    "row 106: streamed headers alone, with a body, and with trailers reach the client, and a full-duplex body is echoed",
    {
      since: SINCE,
      scenes: {
        alone: at(headers(true)),
        body: at(headers(false), chunk("one ", false), chunk("two", true)),
        trailers: at(headers(false), chunk("one", false), TRAILERS),
        echo: {
          server: scripted(
            on("requestHeaders", headers(false)),
            { on: "requestBody", endOfStream: false, do: [chunk("[piece]", false)] },
            { on: "requestBody", endOfStream: true, do: [chunk("[end]", true)] },
          ),
          filter: { processing_mode: { request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" } },
          counters: NOT_COUNTED,
        },
      },
    },
    async ({ alone, body, trailers, echo }) => {
      const common = { status: 202, headers: { "x-from": "server" }, complete: true };
      expect(await alone.send()).toMatchObject({ ...common, body: "" });
      expect(await body.send()).toMatchObject({ ...common, body: "one two" });
      expect(await trailers.send()).toMatchObject({ ...common, body: "one", trailers: { "x-end": "1" } });
      for (const scene of [alone, body, trailers]) {
        expect(scene.upstream).toEqual([]);
        expect((await scene.server.call(0)).kinds).toEqual(["requestHeaders"]);
        expect((await scene.logged())[0]).toMatchObject({ code: 202, details: "ext_proc_local_response" });
      }

      const request = echo.open({ method: "POST" });
      const call = await echo.server.call(0);
      request.write("one");
      await call.until(() => call.received.length === 2);
      request.end();
      expect(await request.outcome).toMatchObject({ ...common, body: "[piece][end]" });
      expect(call.kinds).not.toContain("responseHeaders");
    },
  );

  const SPURIOUS = { spurious_msgs_received: 1 };
  row(
    "row 107: a streamed body before the headers is spurious, and the client gets 500",
    {
      since: SINCE,
      scenes: {
        closed: { ...at(chunk("one", true)), counters: SPURIOUS },
        open: {
          ...at(chunk("one", true)),
          filter: { failure_mode_allow: true },
          counters: { ...SPURIOUS, failure_mode_allowed: 1 },
        },
      },
    },
    async ({ closed, open }) => {
      expect((await closed.send()).status).toBe(500);
      expect(closed.upstream).toEqual([]);
      expect((await closed.logged())[0]?.details).toBe("local_response_body_received_before_headers");
      expect(await open.send()).toMatchObject({ status: 200, body: "from upstream" });
    },
  );

  row(
    "row 108: an ordinary answer after the streamed headers is spurious, and resets a client that has its status",
    {
      since: SINCE,
      scenes: {
        only: { ...at(headers(false), chunk("one", false), { waitMs: 100 }, "neutral"), counters: SPURIOUS },
      },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 202, body: "one", complete: false });
      expect(only.upstream).toEqual([]);
    },
  );

  row(
    "row 109: a client of a streamed response without an end waits for the stream's idle timeout, which resets it",
    {
      since: SINCE,
      scenes: { only: { ...at(headers(false), chunk("one", false)), manager: { stream_idle_timeout: "1s" } } },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 202, body: "one", complete: false });
      expect((await only.logged())[0]).toMatchObject({ code: 202, flags: "SI" });
    },
  );

  row(
    "row 110: with a BUFFERED request body, headers without end_of_stream are spurious",
    {
      since: SINCE,
      scenes: {
        open: {
          ...at(headers(false), chunk("one", true)),
          filter: { processing_mode: { request_body_mode: "BUFFERED" } },
          counters: SPURIOUS,
        },
        ended: {
          ...at(headers(true)),
          filter: { processing_mode: { request_body_mode: "BUFFERED" } },
        },
      },
    },
    async ({ open, ended }) => {
      const init = { method: "POST", body: "client's body" };
      expect((await open.send(init)).status).toBe(500);
      expect((await ended.send(init)).status).toBe(202);
      expect([...open.upstream, ...ended.upstream]).toEqual([]);
    },
  );
});
