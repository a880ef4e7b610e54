import { describe, expect, test } from "vitest";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import type { Transaction } from "../../src/processor/transaction.ts";
import { headersOf, plainMessage, trailersOf } from "../protocol/messages.ts";
import { recordSession } from "../session/recorded-session.ts";

/** Runs `look` in every phase that has a handler. */
function looker(look: (phase: string, tx: Transaction) => void) {
  return defineProcessor({
    name: "looker",
    requestHeaders: (_message, tx) => void look("requestHeaders", tx),
    requestTrailers: (_message, tx) => void look("requestTrailers", tx),
    responseHeaders: (_message, tx) => void look("responseHeaders", tx),
    responseTrailers: (_message, tx) => void look("responseTrailers", tx),
  });
}

describe("tx.request", () => {
  test("tx.request has the request headers in every later phase of both directions", () => {
    const seen: string[] = [];
    const recorded = recordSession(
      looker((phase, tx) => seen.push(`${phase} ${tx.request.method} ${tx.request.path}`)),
    );
    recorded.receive(
      headersOf("requestHeaders", [
        [":method", "GET"],
        [":path", "/a"],
      ]),
      trailersOf("requestTrailers"),
      headersOf("responseHeaders"),
      trailersOf("responseTrailers"),
    );
    expect(seen).toEqual([
      "requestHeaders GET /a",
      "requestTrailers GET /a",
      "responseHeaders GET /a",
      "responseTrailers GET /a",
    ]);
  });

  test("tx.request is empty if Envoy did not send the request headers, and filled once it does", () => {
    const seen: unknown[] = [];
    const recorded = recordSession(looker((_phase, tx) => seen.push(tx.request.get("x-user"))));
    recorded.receive(headersOf("responseHeaders"), headersOf("requestHeaders", [["x-user", "ada"]]));
    recorded.receive(trailersOf("responseTrailers"));
    expect(seen).toEqual([undefined, "ada", "ada"]);
  });
});

describe("tx.response", () => {
  test("tx.response is undefined until Envoy sends it, then a head with a status", () => {
    const seen: unknown[] = [];
    const recorded = recordSession(looker((phase, tx) => seen.push([phase, tx.response?.status])));
    recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders", [[":status", "404"]]));
    recorded.receive(trailersOf("requestTrailers"), trailersOf("responseTrailers"));
    expect(seen).toEqual([
      ["requestHeaders", undefined],
      ["responseHeaders", 404],
      ["requestTrailers", 404],
      ["responseTrailers", 404],
    ]);
  });
});

describe("tx", () => {
  test("tx is one object for all phases of a transaction, and another object in the next transaction", () => {
    const seen: Transaction[] = [];
    const processor = looker((_phase, tx) => seen.push(tx));
    for (let transaction = 0; transaction < 2; transaction++)
      recordSession(processor).receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(seen[0]).toBe(seen[1]);
    expect(seen[2]).toBe(seen[3]);
    expect(seen[0]).not.toBe(seen[2]);
  });

  test("tx of composed processors shares heads and signal, and not the state", () => {
    const seen: Transaction[] = [];
    const part = (name: string) =>
      defineProcessor({ name, state: () => name, requestHeaders: (_headers, tx) => void seen.push(tx) });
    recordSession(compose(part("a"), part("b"))).receive(headersOf("requestHeaders"));
    const [a, b] = seen;
    expect(a?.signal).toBe(b?.signal);
    expect(a?.request).toBe(b?.request);
    expect([a?.state, b?.state]).toEqual(["a", "b"]);
  });

  test("tx says who asks, and whether Envoy only watches", () => {
    const seen: unknown[] = [];
    const processor = looker((_phase, tx) => seen.push([tx.origin, tx.observability]));
    recordSession(processor).receive(plainMessage("requestHeaders"));
    recordSession(processor, { origin: "debug" }).receive(plainMessage("requestHeaders", { observabilityMode: true }));
    expect(seen).toEqual([
      ["envoy", false],
      ["debug", true],
    ]);
  });
});

describe("tx.state", () => {
  test("tx.state may be changed and replaced", () => {
    const seen: unknown[] = [];
    const processor = defineProcessor({
      name: "stateful",
      state: () => ({ user: "" }),
      requestHeaders(_headers, tx) {
        tx.state = { user: "ada" };
      },
      responseHeaders: (_headers, tx) => void seen.push(tx.state),
    });
    recordSession(processor).receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(seen).toEqual([{ user: "ada" }]);
  });

  test("tx.state is undefined without a state()", () => {
    const seen: unknown[] = [];
    recordSession(looker((_phase, tx) => seen.push(tx.state))).receive(headersOf("requestHeaders"));
    expect(seen).toEqual([undefined]);
  });

  test("tx.state is made once, even if it is undefined", () => {
    let made = 0;
    const processor = defineProcessor({
      name: "stateful",
      state: () => void made++,
      requestHeaders: () => undefined,
      responseHeaders: () => undefined,
    });
    recordSession(processor).receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    expect(made).toBe(1);
  });
});

test("handlers get the same message object that Envoy sent", () => {
  const messages: unknown[] = [];
  const processor = defineProcessor({
    name: "keep",
    requestHeaders: (message) => void messages.push(message),
    requestTrailers: (message) => void messages.push(message),
  });
  const sent = [headersOf("requestHeaders", [["x-a", "1"]]), trailersOf("requestTrailers", [["x-b", "2"]])];
  recordSession(processor).receive(...sent);
  expect(messages).toEqual(sent.map(({ request }) => request.value));
});
