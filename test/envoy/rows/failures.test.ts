import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { Action } from "../../scenarios/script.ts";
import type { ScriptedServer } from "../scripted.ts";
import { isSince } from "./envoy-release.ts";
import { envoyRows } from "./row.ts";
import type { Scene, SceneInit } from "./scene.ts";
import { FAIL_OPEN, on, scripted, serverHalfClosed } from "./script-scenes.ts";

const UNTOUCHED = { status: 200, body: "from upstream", complete: true };

/** The outcome of a failure at the request headers under both policies. */
function bothPolicies(server: () => Promise<ScriptedServer>) {
  return {
    closed: { server, counters: { streams_failed: 1, ...serverHalfClosed(1) } },
    open: {
      server,
      filter: FAIL_OPEN,
      counters: { streams_failed: 1, failure_mode_allowed: 1, ...serverHalfClosed(2) },
    },
  };
}

/** A server that fails at the request headers: 500 without a look at the upstream, or an unprocessed transaction. */
async function expectFailure({ closed, open }: { closed: Scene; open: Scene }, grpcCode: number): Promise<void> {
  expect(await closed.send()).toMatchObject({ status: 500, body: "" });
  expect(closed.upstream).toEqual([]);
  const [line] = await closed.logged();
  expect(line).toMatchObject({ code: 500, details: expect.stringMatching(`^ext_proc_error_gRPC_error_${grpcCode}`) });
  await expectUnprocessed(open);
}

async function expectUnprocessed(open: Scene): Promise<void> {
  expect(await open.send({ path: "/open" })).toMatchObject(UNTOUCHED);
  expect(open.upstream).toMatchObject([{ path: "/open", end: "complete" }]);
}

envoyRows("a server that fails", (row) => {
  row(
    "row 1: a server that ends with OK instead of an answer lets the request pass unprocessed",
    { scenes: { only: { server: scripted(on("requestHeaders", { end: 0 })), counters: serverHalfClosed(1) } } },
    async ({ only }) => {
      expect(await only.send()).toMatchObject(UNTOUCHED);
      expect(only.upstream).toMatchObject([{ path: "/", end: "complete" }]);
      expect((await only.server.call(0)).kinds).toEqual(["requestHeaders"]);
      expect(await only.counters()).toMatchObject({ streams_started: 1, streams_closed: 1, stream_msgs_sent: 1 });
      expect((await only.logged())[0]).toMatchObject({ code: 200, details: "via_upstream" });
    },
  );

  row(
    "row 2: a server that ends with INTERNAL costs the client a 500, and the upstream sees nothing",
    {
      scenes: {
        only: {
          server: scripted(on("requestHeaders", { end: 13, message: "on purpose" })),
          counters: { streams_failed: 1, ...serverHalfClosed(1) },
        },
      },
    },
    async ({ only }) => {
      expect(await only.send()).toMatchObject({ status: 500, body: "" });
      expect(only.upstream).toEqual([]);
      expect((await only.logged())[0]?.details).toMatch(/^ext_proc_error_gRPC_error_13\{on_purpose/);
      expect(await only.counters()).toMatchObject({ streams_started: 1, stream_msgs_received: 0 });
    },
  );

  row(
    "row 3: a server that ends with INTERNAL under failure_mode_allow lets the transaction pass unprocessed",
    {
      scenes: {
        only: {
          server: scripted(on("requestHeaders", { end: 13 })),
          filter: FAIL_OPEN,
          counters: { streams_failed: 1, failure_mode_allowed: 1, ...serverHalfClosed(2) },
        },
      },
    },
    async ({ only }) => {
      await expectUnprocessed(only);
      expect((await only.server.call(0)).kinds).toEqual(["requestHeaders"]);
      expect((await only.logged())[0]).toMatchObject({ code: 200, details: "via_upstream" });
    },
  );

  row(
    "row 4: an endpoint that answers HTTP 500 and no gRPC is a failure with code 2",
    { scenes: bothPolicies(scripted(on("requestHeaders", { httpStatus: 500 }))) },
    (scenes) => expectFailure(scenes, 2),
  );

  const resets = (code: number) => bothPolicies(scripted(on("requestHeaders", { reset: code })));
  const [cancel, internal, noError] = [resets(8), resets(2), resets(0)];
  row(
    "row 5: a stream that the server resets is a failure with code 14, whatever the reset says",
    {
      scenes: {
        cancelClosed: cancel.closed,
        cancelOpen: cancel.open,
        internalClosed: internal.closed,
        internalOpen: internal.open,
        noErrorClosed: noError.closed,
        noErrorOpen: noError.open,
      },
    },
    async (scenes) => {
      await expectFailure({ closed: scenes.cancelClosed, open: scenes.cancelOpen }, 14);
      await expectFailure({ closed: scenes.internalClosed, open: scenes.internalOpen }, 14);
      await expectFailure({ closed: scenes.noErrorClosed, open: scenes.noErrorOpen }, 14);
    },
  );

  const nobody = (filter: JsonObject): SceneInit => ({
    filter,
    counters: filter.failure_mode_allow
      ? { streams_failed: 1, failure_mode_allowed: 1, ...serverHalfClosed(2) }
      : { streams_failed: 1, ...serverHalfClosed(1) },
  });
  row(
    "row 6: a service without a listening server is a failure with code 14, in observability mode too",
    {
      scenes: {
        closed: nobody({}),
        open: nobody(FAIL_OPEN),
        observedClosed: nobody({ observability_mode: true }),
        observedOpen: nobody({ observability_mode: true, ...FAIL_OPEN }),
      },
    },
    async ({ closed, open, observedClosed, observedOpen }) => {
      await expectFailure({ closed, open }, 14);
      await expectFailure({ closed: observedClosed, open: observedOpen }, 14);
    },
  );

  const answerThenFail = scripted(on("requestHeaders", "neutral", { end: 13 }));
  const noticed = { streams_failed: 1, ...serverHalfClosed(1) };
  row(
    "row 7: an INTERNAL behind the last answer that is needed goes unnoticed from 1.37 on, and is a 500 before",
    {
      scenes: {
        last: {
          server: answerThenFail,
          filter: { processing_mode: { response_header_mode: "SKIP" } },
          counters: isSince("1.37") ? {} : noticed,
        },
        early: { server: answerThenFail, counters: noticed },
      },
    },
    async ({ last, early }) => {
      expect((await last.send()).status).toBe(isSince("1.37") ? 200 : 500);
      expect((await early.send()).status).toBe(500);
      expect((await early.logged())[0]?.details).toMatch(/^ext_proc_error_gRPC_error_13/);
    },
  );

  const failAt = (action: Action) => scripted(on("responseHeaders", action));
  row(
    "row 8: a server that ends with OK instead of the response headers' answer leaves the response as it is",
    { scenes: { only: { server: failAt({ end: 0 }), counters: serverHalfClosed(1) } } },
    async ({ only }) => {
      expect(await only.send()).toMatchObject({ ...UNTOUCHED, headers: { "x-upstream": "yes" } });
      expect((await only.server.call(0)).kinds).toEqual(["requestHeaders", "responseHeaders"]);
    },
  );

  row(
    "row 9: a server that fails at the response headers costs the client a 500 instead of the response",
    { scenes: { only: { server: failAt({ end: 13 }), counters: noticed } } },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 500, body: "", complete: true });
      expect(outcome.headers).not.toHaveProperty("x-upstream");
      expect(only.upstream).toMatchObject([{ end: "complete" }]);
      expect((await only.logged())[0]?.details).toMatch(/^ext_proc_error_gRPC_error_13/);
    },
  );

  // Longer than the message timeout: Envoy does not wait any more.
  const late: Action[] = [{ waitMs: 700 }, "neutral"];
  const TIMEOUT = { message_timeout: "0.3s" };
  const timedOut = { message_timeouts: 1 };
  const letPass = { message_timeouts: 1, failure_mode_allowed: 1 };
  row(
    "row 15: a server that is late at the request headers costs the client a 504",
    {
      scenes: { only: { server: scripted(on("requestHeaders", ...late)), filter: TIMEOUT, counters: timedOut } },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(504);
      expect(only.upstream).toEqual([]);
      expect((await only.logged())[0]).toMatchObject({
        code: 504,
        details: "ext_proc_error_per-message_timeout_exceeded",
      });
      const call = await only.server.call(0);
      await call.ended;
      expect(call.resetCode).toBeDefined();
      expect(await only.counters()).toMatchObject({ stream_msgs_received: 0 });
    },
  );

  row(
    "row 16: a server that is late at the request headers under failure_mode_allow lets the transaction pass unprocessed",
    {
      scenes: {
        only: {
          server: scripted(on("requestHeaders", ...late)),
          filter: { ...TIMEOUT, ...FAIL_OPEN },
          counters: letPass,
        },
      },
    },
    ({ only }) => expectUnprocessed(only),
  );

  row(
    "row 17: a server that is late at the response headers costs the client a 504 instead of the response",
    {
      scenes: { only: { server: scripted(on("responseHeaders", ...late)), filter: TIMEOUT, counters: timedOut } },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome.status).toBe(504);
      expect(outcome.headers).not.toHaveProperty("x-upstream");
      expect((await only.logged())[0]?.details).toBe("ext_proc_error_per-message_timeout_exceeded");
    },
  );

  row(
    "row 18: a server that is late at the response headers under failure_mode_allow leaves the response as it is",
    {
      scenes: {
        only: {
          server: scripted(on("responseHeaders", ...late)),
          filter: { ...TIMEOUT, ...FAIL_OPEN },
          counters: letPass,
        },
      },
    },
    async ({ only }) => {
      expect(await only.send()).toMatchObject({ ...UNTOUCHED, headers: { "x-upstream": "yes" } });
    },
  );

  const UNAVAILABLE_ON_ERROR = { status_on_error: { code: "ServiceUnavailable" } };
  row(
    "row 19: an error gives the client the status_on_error, and a timeout is still 504",
    {
      scenes: {
        failed: {
          server: scripted(on("requestHeaders", { end: 13 })),
          filter: UNAVAILABLE_ON_ERROR,
          counters: noticed,
        },
        late: {
          server: scripted(on("requestHeaders", ...late)),
          filter: { ...UNAVAILABLE_ON_ERROR, ...TIMEOUT },
          counters: timedOut,
        },
      },
    },
    async ({ failed, late: tooLate }) => {
      expect((await failed.send()).status).toBe(503);
      expect((await tooLate.send()).status).toBe(504);
    },
  );
});
