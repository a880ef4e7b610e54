import { create } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import type { HttpHeaders } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { compose, defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { appendHeader, overrideMode, removeHeader, setHeader, setStatus } from "../../src/processor/effects.ts";
import type { Transaction } from "../../src/processor/transaction.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { header } from "../../src/protocol/headers/headers.ts";
import { bodyModes, type Envelope, headersOf, oneofOf, trailersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

/** Returns what `look` sees in both header phases. */
function looker(look: (tx: Transaction) => unknown, seen: unknown[]): Processor {
  return defineProcessor({
    name: "looker",
    requestHeaders: (_headers, tx) => void seen.push(look(tx)),
    responseHeaders: (_headers, tx) => void seen.push(look(tx)),
  });
}

function seenBy(look: (tx: Transaction) => unknown, request: Envelope, response: Envelope = {}): unknown[] {
  const seen: unknown[] = [];
  const recorded = recordSession(looker(look, seen), { peer: { address: "192.0.2.1:5" } });
  recorded.receive(headersOf("requestHeaders", [], request), headersOf("responseHeaders", [], response));
  return seen;
}

const group = (values: Record<string, string | number>) => ({
  attributes: { "envoy.filters.http.ext_proc": values },
});

describe("tx.attribute", () => {
  test("tx.attribute has what Envoy sent with the first message of either direction", () => {
    const look = (tx: Transaction) =>
      ["source.port", "request.path", "response.code"].map((name) => tx.attribute(name));
    expect(seenBy(look, group({ "source.port": 5, "request.path": "/" }), group({ "response.code": 200 }))).toEqual([
      [5, "/", undefined],
      [5, "/", 200],
    ]);
  });

  test("tx.attribute does not find properties that every object has", () => {
    expect(seenBy((tx) => [tx.attribute("constructor"), tx.metadata("toString")], group({ a: 1 }))).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });
});

describe("tx.metadata", () => {
  const context = (value: string): Envelope => ({
    metadataContext: {
      filterMetadata: { ns: { value } },
      typedFilterMetadata: { ns: anyPack(StringValueSchema, create(StringValueSchema, { value })) },
    },
  });

  test("tx.metadata is that of the latest message", () => {
    expect(seenBy((tx) => tx.metadata("ns"), context("a"), context("b"))).toEqual([{ value: "a" }, { value: "b" }]);
  });

  test("tx.metadata may be typed", () => {
    const look = (tx: Transaction) => {
      const any = tx.typedMetadata("ns");
      return any && anyUnpack(any, StringValueSchema)?.value;
    };
    expect(seenBy(look, context("a"), context("b"))).toEqual(["a", "b"]);
  });
});

test("tx.typedMetadata stays valid after its message, whose bytes a transport may overwrite", () => {
  const value = new Uint8Array([1, 2, 3]);
  const metadataContext = { typedFilterMetadata: { ns: { typeUrl: "type.test/a", value } } };
  let look: () => Uint8Array | undefined = () => undefined;
  const keeping = defineProcessor({
    name: "keeping",
    requestHeaders(_headers, tx) {
      look = () => tx.typedMetadata("ns")?.value;
    },
  });
  recordSession(keeping).receive(headersOf("requestHeaders", [], { metadataContext }));
  value.fill(0);
  expect(look()).toEqual(new Uint8Array([1, 2, 3]));
});

test("tx.peer has the address that opened the connection", () => {
  expect(seenBy((tx) => tx.peer, {})[0]).toEqual({ address: "192.0.2.1:5" });
});

test("tx.modes has the current body modes, an override included", () => {
  const seen: unknown[] = [];
  const override = defineProcessor({
    name: "override",
    requestHeaders: () => overrideMode({ responseBody: "STREAMED" }),
  });
  const recorded = recordSession(
    compose(
      looker((tx) => tx.modes, seen),
      override,
    ),
    {
      declaration: declareEnvoy({ allowModeOverride: true }),
    },
  );
  recorded.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED", "NONE")), headersOf("responseHeaders"));
  expect(seen).toEqual([
    { requestBody: "BUFFERED", responseBody: "NONE" },
    { requestBody: "BUFFERED", responseBody: "STREAMED" },
  ]);
});

describe("the working copy", () => {
  const change = defineProcessor({
    name: "change",
    requestHeaders: () => [setHeader("x-a", "2"), removeHeader("x-b"), appendHeader("x-c", "2")],
    requestTrailers: () => setHeader("x-t", "2"),
    responseHeaders: () => setStatus(404),
  });

  test("the working copy is what later processors see, in tx and in their message, and Envoy's message stays unchanged", () => {
    const seen: unknown[] = [];
    const reader = defineProcessor({
      name: "reader",
      requestHeaders(headers, tx) {
        for (const name of ["x-a", "x-b", "x-c"]) seen.push([header(headers, name), tx.request.get(name)]);
      },
      requestTrailers: (trailers) => void seen.push(header(trailers, "x-t")),
    });
    const recorded = recordSession(compose(change, reader));
    const sent = headersOf("requestHeaders", [
      ["X-A", "1"],
      ["x-b", "1"],
      ["x-c", "1"],
    ]);
    const copy = structuredClone(sent);
    recorded.receive(sent, trailersOf("requestTrailers", [["x-t", "1"]]));
    expect(seen).toEqual([["2", "2"], [undefined, undefined], ["1, 2", "1, 2"], "2"]);
    expect(sent).toEqual(copy);
  });

  test("the working copy follows the reverse order on the response", () => {
    const seen: unknown[] = [];
    const reader = defineProcessor({
      name: "reader",
      responseHeaders: (_headers, tx) => void seen.push(tx.response?.status),
    });
    const recorded = recordSession(compose(reader, change));
    recorded.receive(headersOf("responseHeaders", [[":status", "200"]]));
    expect(seen).toEqual([404]);
  });

  test("the working copy stays in later phases, as the request that went upstream", () => {
    const seen: unknown[] = [];
    const reader = defineProcessor({
      name: "reader",
      responseHeaders: (_headers, tx) => void seen.push(tx.request.get("x-a")),
    });
    const recorded = recordSession(compose(change, reader));
    recorded.receive(headersOf("requestHeaders", [["x-a", "1"]]), headersOf("responseHeaders"));
    expect(seen).toEqual(["2"]);
  });

  test("the working copy keeps unknown fields, and the end of the stream", () => {
    const seen: HttpHeaders[] = [];
    const reader = defineProcessor({ name: "reader", requestHeaders: (headers) => void seen.push(headers) });
    const sent = headersOf("requestHeaders", [["x-a", "1"]], { endOfStream: true });
    const { value } = oneofOf(sent) as { readonly value: HttpHeaders };
    value.$unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(5) }];
    recordSession(compose(change, reader)).receive(sent);
    expect(seen).toMatchObject([{ endOfStream: true, $unknown: [{ no: 99 }] }]);
    expect(seen[0]).not.toBe(value);
  });

  test("the working copy does not change a message that a processor has already been given", () => {
    const kept: HttpHeaders[] = [];
    const keep = defineProcessor({ name: "keep", requestHeaders: (headers) => void kept.push(headers) });
    const recorded = recordSession(compose(change, keep, setter("x-a", "3")));
    recorded.receive(headersOf("requestHeaders", [["x-a", "1"]]));
    expect(kept.map((headers) => header(headers, "x-a"))).toEqual(["2"]);
    expect(changesOf(recorded.answers[0])).toContain("x-a = 3");
  });
});

function setter(name: string, value: string): Processor {
  return defineProcessor({ name: "setter", requestHeaders: () => setHeader(name, value) });
}
