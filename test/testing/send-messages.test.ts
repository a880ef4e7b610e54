import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { requestHeaders, responseHeaders } from "../../src/simulation/messages.ts";
import { sendMessages } from "../../src/testing/send-messages.ts";
import { bytes } from "../protocol/messages.ts";
import { deferred, nextTurn } from "../session/deferred.ts";

describe("sendMessages", () => {
  test("sendMessages returns the answers to one transaction's messages, in order", async () => {
    const processor = defineProcessor({
      name: "both",
      state: () => ({ path: "" }),
      async requestHeaders(_headers, tx) {
        await nextTurn();
        tx.state.path = tx.request.path ?? "";
      },
      responseHeaders: (_headers, tx) => setHeader("x-path", tx.state.path),
    });
    const messages = [requestHeaders({ ":path": "/x" }), responseHeaders({ ":status": "200" })];
    const { responses, code, faults } = await sendMessages(processor, messages);
    expect(responses.map(({ response }) => response.case)).toEqual(["requestHeaders", "responseHeaders"]);
    expect(responses[1]?.response.value).toMatchObject({
      response: { headerMutation: { setHeaders: [{ header: { key: "x-path", rawValue: bytes("/x") } }] } },
    });
    expect([code, faults]).toEqual([0, []]);
  });

  test("sendMessages returns a fault, and the status with which the stream ends", async () => {
    const processor = defineProcessor({ name: "one", requestHeaders: (_headers, tx) => void tx.request.one("a") });
    const { responses, code, faults } = await sendMessages(processor, [requestHeaders({ a: ["1", "2"] })]);
    expect(faults).toMatchObject([{ code: "header_ambiguous" }]);
    expect([responses, code]).toEqual([[], 13]);
  });

  test("sendMessages stops waiting for a handler that hangs at the handler's timeout", async () => {
    const hanging = defineProcessor({ name: "hanging", onFault: "open", requestHeaders: () => deferred().promise });
    const { responses, faults } = await sendMessages(hanging, [requestHeaders()], { patienceMs: 1 });
    expect(faults).toMatchObject([{ code: "handler_timeout" }]);
    expect(responses).toHaveLength(1);
  });

  test("sendMessages runs setup before the messages and close after them", async () => {
    const calls: string[] = [];
    const note = (call: string) => () => void calls.push(call);
    const life = { setup: note("setup"), requestHeaders: note("headers"), close: note("close") };
    await sendMessages(defineProcessor({ name: "life", ...life }), [requestHeaders()]);
    expect(calls).toEqual(["setup", "headers", "close"]);
  });

  test("sendMessages uses the operator's settings", async () => {
    const thrower = defineProcessor({
      name: "thrower",
      requestHeaders() {
        throw new Error("no");
      },
    });
    const closed = await sendMessages(thrower, [requestHeaders()], { operator: { onFault: "closed" } });
    expect(closed.responses.map(({ response }) => response.case)).toEqual(["immediateResponse"]);
  });

  test("sendMessages rejects a value that is not a processor, and unknown options", async () => {
    await expect(sendMessages({} as never, [])).rejects.toThrow("sendMessages: the first argument is not a processor");
    const processor = defineProcessor({ name: "nothing" });
    await expect(sendMessages(processor, [], { envoy: {} } as never)).rejects.toThrow(/^options\.envoy: no such/);
  });
});
