import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { changesOf } from "../session/recorded-session.ts";
import { requestHeaders, responseHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const TRANSACTIONS = 500;

test("500 parallel transactions on one connection never mix their states, whichever of them is asynchronous", async () => {
  const processor = defineProcessor({
    name: "remembering",
    timeoutMs: 60_000,
    state: () => ({ id: "" }),
    requestHeaders(_headers, tx) {
      const id = tx.request.get("x-id") ?? "";
      tx.state.id = id;
      const seen = () => setHeader("x-seen", tx.request.get("x-id") ?? "");
      const later = async () => {
        // Out of the order in which they came.
        await delay(Number(id) % 7);
        return seen();
      };
      return Number(id) % 3 === 0 ? later() : seen();
    },
    async responseHeaders(_headers, tx) {
      await delay(Number(tx.state.id) % 5);
      return setHeader("x-seen", `${tx.state.id} ${tx.request.get("x-id")} ${tx.response?.get("x-id")}`);
    },
  });
  const started = await serverForTest(processor, { envoy: { messageTimeoutMs: 60_000 } });
  const session = http2Session(started.port);
  await Promise.all(
    Array.from({ length: TRANSACTIONS }, async (_, index) => {
      const id = String(index);
      const call = openRawCall(session);
      call.send(requestHeaders([["x-id", id]]));
      expect(changesOf(await call.next())).toEqual([`x-seen = ${id}`]);
      call.send(responseHeaders([["x-id", `r${id}`]]));
      expect(changesOf(await call.next())).toEqual([`x-seen = ${id} ${id} r${id}`]);
      call.stream.end();
      expect(await call.status).toBe("0");
    }),
  );
  expect(await started.metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(TRANSACTIONS);
  expect(await started.metric("ext_proc_http2_connections_opened_total")).toBe(1);
}, 30_000);
