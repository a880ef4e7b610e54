import { describe, expect, test } from "vitest";
import { EnvoySettingsSchema } from "../../gen/extproc/debug/v1/envoy_settings_pb.js";
import { exchangeJson } from "../../src/debug/parse-exchange.ts";
import { simulateJson } from "../../src/debug/simulate-json.ts";
import { defineProcessor, immediateResponse, type Processor, setDynamicMetadata, setHeader } from "../../src/index.ts";
import { checkSettings } from "../../src/simulation/check-settings.ts";

async function play(processor: Processor, exchange: unknown, operator = {}) {
  const response = await simulateJson(processor, exchange, operator);
  if ("problem" in response) throw new Error(response.problem);
  return exchangeJson(response) as Record<string, never>;
}

/** The part of a readable message that is looked at. */
interface ReadableRequest {
  readonly message: { readonly requestHeaders: { readonly headers: { readonly headers: readonly unknown[] } } };
}

const tagger = defineProcessor({
  name: "tagger",
  requestHeaders: () => setHeader("x-tag", "ünïcode"),
});

describe("an exchange", () => {
  test("an exchange keeps bytes that are not UTF-8, and shows them only as base64", async () => {
    const bytes = { base64: "/w==" };
    const exchange = {
      request: { headers: { "x-raw": bytes, "x-two": ["a", bytes] }, bodyBase64: "/wA=" },
      envoy: { processingMode: { requestBodyMode: "BUFFERED" } },
    };
    const { upstreamRequest, messages } = await play(tagger, exchange);
    expect(upstreamRequest).toMatchObject({
      headers: { "x-raw": bytes, "x-two": ["a", bytes], "x-tag": "ünïcode" },
      bodyBase64: "/wA=",
    });
    expect(upstreamRequest).not.toHaveProperty("body");
    const { headers } = (messages as unknown as ReadableRequest[])[0]?.message.requestHeaders.headers ?? {};
    expect(headers).toContainEqual({ key: "x-raw", valueBase64: "/w==" });
    expect(headers).toContainEqual({ key: "x-two", value: "a" });
  });

  test("an exchange has JSON bodies, chunks, trailers, metadata, attributes and the route's configuration", async () => {
    const asked: unknown[] = [];
    const curious = defineProcessor({
      name: "curious",
      requestHeaders(_headers, tx) {
        asked.push(tx.attribute("source.address"), tx.metadata("auth"), tx.grpcMetadata.get("x-ext-proc-config"));
        return setDynamicMetadata("out", { seen: true });
      },
    });
    const result = await play(curious, {
      request: { json: { a: 1 } },
      upstream: { chunks: ["one", "two"], trailers: { "x-end": "yes" } },
      config: { limit: 5 },
      metadata: { auth: { user: "ada" } },
      attributes: { "source.address": "10.0.0.7:1" },
      envoy: {
        requestAttributes: ["source.address"],
        metadataOptions: { forwardingNamespaces: { untyped: ["auth"] }, receivingNamespaces: { untyped: ["out"] } },
      },
    });
    expect(asked).toEqual(["10.0.0.7:1", { user: "ada" }, '{"limit":5}']);
    expect(result).toMatchObject({
      upstreamRequest: { method: "POST", body: '{"a":1}', headers: { "content-type": "application/json" } },
      clientResponse: { body: "onetwo", trailers: { "x-end": "yes" } },
      metadata: { out: { seen: true } },
    });
  });

  test("an exchange says how often each handler ran, including asynchronous handlers and body handlers", async () => {
    const busy = defineProcessor({
      name: "busy",
      requestHeaders: async () => undefined,
      requestBody: { read: "chunks", chunk: (bytes) => bytes, end: () => undefined },
      responseBody: {
        read: "stream",
        async *handle(chunks) {
          for await (const chunk of chunks) yield chunk;
        },
      },
    });
    const modes = { requestBodyMode: "STREAMED", responseBodyMode: "STREAMED" };
    const exchange = {
      request: { chunks: ["a", "b"], chunkIntervalMs: 1 },
      upstream: { body: "c" },
      envoy: { processingMode: modes },
    };
    const { handlers, clientResponse } = await play(busy, exchange);
    expect(clientResponse).toMatchObject({ status: 200, body: "c" });
    expect(handlers).toEqual(
      [
        ["requestHeaders", 1],
        ["requestBody.chunk", 2],
        ["requestBody.end", 1],
        ["responseBody.handle", 1],
      ].map(([handler, calls]) => ({ processor: "busy", handler, calls, durationMs: expect.any(Number) })),
    );
  });

  test("an exchange uses the declared Envoy settings unless it has its own", async () => {
    const slow = defineProcessor({
      name: "slow",
      timeoutMs: 100_000,
      onFault: "closed",
      requestHeaders: () => new Promise<undefined>(() => undefined),
      responseHeaders: () => immediateResponse(418),
    });
    const operator = { envoy: { messageTimeoutMs: 700 } };
    const declared = await play(slow, {}, operator);
    const given = await play(slow, { envoy: { messageTimeoutMs: 300 } }, operator);
    expect([declared.durationMs, given.durationMs]).toEqual([650, 250]);
    expect(declared.faults).toMatchObject([{ code: "handler_timeout", source: "handler" }]);
  });

  test("an impossible exchange is a problem with its path", async () => {
    await expect(play(tagger, { upstream: { status: 99 } })).rejects.toThrow(/^upstream\.status: 99 must be/);
    await expect(play(tagger, { request: { body: "a", json: 1 } })).rejects.toThrow(
      /^request: has body and json; give only/,
    );
    await expect(play(tagger, { request: { path: "x" } })).rejects.toThrow(/^request\.path: "x" must begin with/);
    await expect(play(tagger, { request: { headers: { a: 5 } } })).rejects.toThrow(
      /^request\.headers\.a: expected a text or .* got 5$/,
    );
    const settings = { mutationRules: { allowExpression: "(" } };
    await expect(play(tagger, { envoy: settings })).rejects.toThrow(/is not an RE2 expression/);
  });
});

test("EnvoySettings has every setting of the simulator under the same name", () => {
  const names = EnvoySettingsSchema.fields.map(({ jsonName }) => jsonName);
  const unknown = () => checkSettings({ nope: true } as never);
  expect(unknown).toThrow(/there are (.*)$/);
  const [, listed = ""] = /there are (.*)$/.exec(errorOf(unknown)) ?? [];
  expect(listed.split(", ").sort()).toEqual(names.sort());
});

function errorOf(call: () => void): string {
  try {
    call();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}
