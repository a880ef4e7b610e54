import { expect } from "vitest";
import { defineProcessor } from "../../../src/index.ts";
import type { ScriptedCall, ScriptedServer } from "../scripted.ts";
import { isSince } from "./envoy-release.ts";
import { eventually } from "./eventually.ts";
import { gate } from "./gate.ts";
import { envoyRows } from "./row.ts";
import type { Scene } from "./scene.ts";
import { DONE_CODE, on, scripted, serverHalfClosed } from "./script-scenes.ts";
import { served } from "./served.ts";

/** Milliseconds from the server's last answer to what Envoy did then. */
function msAfterAnswer({ events }: ScriptedCall, kind: "reset" | "halfClosed"): number {
  const at = (wanted: string) => events.findLast((event) => event.kind === wanted)?.atMs ?? Number.NaN;
  return at(kind) - at("sent");
}

/** Sends three chunks, the last when the server has ended; gives back the status and what the upstream got. */
async function sendPieces({ open, server, upstream }: Scene<ScriptedServer>) {
  const request = open({ method: "POST" });
  const call = await server.call(0);
  request.write("one ");
  await call.until(() => call.received.length === 2);
  request.write("two ");
  await call.ended;
  request.write("three");
  request.end();
  const { status } = await request.outcome;
  return { status, body: upstream[0]?.body };
}

envoyRows("the end of a stream", (row) => {
  const responding = gate();
  row(
    "row 10: Envoy resets a stream with INTERNAL_ERROR right after the last answer that it needs, from 1.38 on",
    {
      scenes: {
        only: {
          server: scripted(),
          filter: { processing_mode: { response_header_mode: "SKIP" } },
          respond: (response) => void responding.opened.then(() => response.end("late")),
        },
      },
    },
    async ({ only }) => {
      const outcome = only.send();
      const call = await only.server.call(0);
      if (isSince("1.38")) {
        await call.ended;
        expect(msAfterAnswer(call, "reset")).toBeLessThan(500);
        expect(call.halfClosed).toBe(false);
      } else {
        await call.until(() => call.sent.length === 1);
        await eventually(() => expect(only.upstream).toHaveLength(1));
        expect(call.resetCode).toBeUndefined();
      }
      responding.open();
      expect(await outcome).toMatchObject({ status: 200, body: "late" });
      await call.ended;
      expect(call.resetCode).toBe(DONE_CODE);
      expect(call.kinds).toEqual(["requestHeaders"]);
    },
  );

  row(
    "row 12: a server that ends with OK behind the headers' answer lets a STREAMED body pass as it is",
    {
      scenes: {
        only: {
          server: scripted(on("requestHeaders", "neutral", { end: 0 })),
          filter: { processing_mode: { request_body_mode: "STREAMED" } },
          counters: serverHalfClosed(1),
        },
      },
    },
    async ({ only }) => {
      const request = only.open({ method: "POST" });
      const call = await only.server.call(0);
      await call.ended;
      for (const piece of ["one ", "two ", "three"]) request.write(piece);
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(only.upstream).toMatchObject([{ body: "one two three", end: "complete" }]);
      expect(call.kinds).toEqual(["requestHeaders"]);
    },
  );

  const endInTheMiddle = () =>
    scripted({ on: "requestBody", nth: 1, do: [] }, { on: "requestBody", nth: 2, do: [{ end: 0 }] });
  row(
    "row 13: a server that ends with OK while STREAMED chunks are out gives the upstream all of the body",
    {
      scenes: {
        only: {
          server: endInTheMiddle(),
          filter: { processing_mode: { request_body_mode: "STREAMED" } },
          counters: serverHalfClosed(1),
        },
      },
    },
    async ({ only }) => {
      const { status, body } = await sendPieces(only);
      expect({ status, body }).toEqual({ status: 200, body: "one two three" });
    },
  );

  row(
    "row 13b: a server that ends with OK in FULL_DUPLEX_STREAMED loses the chunks that it has, and the client gets 200",
    {
      scenes: {
        only: {
          server: endInTheMiddle(),
          filter: { processing_mode: { request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" } },
          counters: serverHalfClosed(1),
        },
      },
    },
    async ({ only }) => {
      const { status, body } = await sendPieces(only);
      expect({ status, body }).toEqual({ status: 200, body: "three" });
    },
  );

  const aborted = gate();
  const patient = defineProcessor({
    name: "patient",
    timeoutMs: 20_000,
    requestHeaders: (_headers, tx) =>
      new Promise<undefined>((_resolve, reject) => {
        tx.signal.addEventListener("abort", () => {
          aborted.open();
          // What a call that is given the signal would do.
          reject(tx.signal.reason);
        });
      }),
  });
  row(
    "row 14: a client that leaves fires the handler's signal, ends the stream, and nothing is left unhandled",
    { scenes: { ours: { server: served(patient) }, raw: { server: scripted(on("requestHeaders")) } } },
    async ({ ours, raw }) => {
      const unhandled: unknown[] = [];
      const keep = (reason: unknown) => void unhandled.push(reason);
      process.on("unhandledRejection", keep);
      const request = ours.open();
      await eventually(async () => expect(await ours.server.metric("ext_proc_streams_active")).toBe(1));
      const leftAt = performance.now();
      request.abort();
      await aborted.opened;
      expect(performance.now() - leftAt).toBeLessThan(1_000);
      const unanswered = 'ext_proc_streams_total{result="unanswered",origin="envoy"}';
      await eventually(async () => expect(await ours.server.metric(unanswered)).toBe(1));
      process.off("unhandledRejection", keep);
      expect(unhandled).toEqual([]);
      expect(ours.server.logLines().filter(({ level }) => level === "error")).toEqual([]);

      const other = raw.open();
      const call = await raw.server.call(0);
      await call.until(() => call.received.length === 1);
      other.abort();
      await call.ended;
      expect(call.resetCode).toBe(DONE_CODE);
      expect(call.halfClosed).toBe(true);
      expect([...ours.upstream, ...raw.upstream]).toEqual([]);
    },
  );
});
