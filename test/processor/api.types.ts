import { describe, expectTypeOf, test } from "vitest";
import { z } from "zod";
import {
  addHeaderIfAbsent,
  appendChunk,
  appendHeader,
  clearBody,
  clearRouteCache,
  compose,
  continueAndReplace,
  defineProcessor,
  type EditablePhase,
  type EditablePlace,
  type Effect,
  type EffectPlace,
  type Fault,
  type Head,
  type HttpHeaders,
  type HttpTrailers,
  header,
  immediateResponse,
  overrideMode,
  overwriteHeaderIfExists,
  type Processor,
  removeHeader,
  replaceBody,
  replaceJson,
  replaceText,
  setAuthority,
  setDynamicMetadata,
  setHeader,
  setMethod,
  setPath,
  setStatus,
  setTypedDynamicMetadata,
  streamedImmediateResponse,
  type Transaction,
  type TransactionEnd,
} from "../../src/index.ts";

declare const responseOnly: Effect<"responseHeaders">;
declare const requestOnly: Effect<"requestHeaders">;
declare const headersOnly: Effect<"requestHeaders" | "responseHeaders">;
declare const bodyOnly: Effect<"requestBody">;

describe("inference inside one object literal", () => {
  test("state has the type of state() in every handler", () => {
    defineProcessor({
      name: "stateful",
      state: () => ({ user: "", hits: 0 }),
      requestHeaders(headers, tx) {
        expectTypeOf(headers).toEqualTypeOf<HttpHeaders>();
        expectTypeOf(tx).toEqualTypeOf<Transaction<{ user: string; hits: number }, undefined>>();
        tx.state.user = header(headers, "x-user") ?? "anonymous";
        tx.state.hits++;
        return setHeader("x-user", tx.state.user);
      },
      responseHeaders: (_headers, tx) => appendHeader("x-hits", String(tx.state.hits)),
      responseTrailers: (trailers, tx) => {
        expectTypeOf(trailers).toEqualTypeOf<HttpTrailers>();
        expectTypeOf(tx.state.user).toEqualTypeOf<string>();
      },
    });
  });

  test("state has the type undefined without state()", () => {
    defineProcessor({
      name: "stateless",
      requestHeaders(_headers, tx) {
        expectTypeOf(tx.state).toEqualTypeOf<undefined>();
      },
    });
  });

  test("messages have the type of their phase", () => {
    defineProcessor({
      name: "messages",
      requestHeaders: (message) => expectTypeOf(message).toEqualTypeOf<HttpHeaders>() && undefined,
      responseHeaders: (message) => expectTypeOf(message).toEqualTypeOf<HttpHeaders>() && undefined,
      requestTrailers: (message) => expectTypeOf(message).toEqualTypeOf<HttpTrailers>() && undefined,
      responseTrailers: (message) => expectTypeOf(message).toEqualTypeOf<HttpTrailers>() && undefined,
    });
  });

  test("the transaction is read-only except for its state", () => {
    expectTypeOf<Transaction["request"]>().toEqualTypeOf<Head>();
    expectTypeOf<Transaction["response"]>().toEqualTypeOf<Head | undefined>();
    expectTypeOf<Transaction["signal"]>().toEqualTypeOf<AbortSignal>();
    expectTypeOf<Transaction["origin"]>().toEqualTypeOf<"envoy" | "debug" | "simulation" | "http_service">();
    defineProcessor({
      name: "writes",
      requestHeaders(_headers, tx) {
        // @ts-expect-error the head is Envoy's
        tx.request = undefined as never;
        // @ts-expect-error so is who asks
        tx.origin = "envoy";
      },
    });
  });
});

describe("a processor's configuration and life cycle", () => {
  const config = z.object({ limit: z.coerce.number().default(3) }).prefault({});

  test("config has the type of the schema's output in every handler, with or without a state", () => {
    defineProcessor({
      name: "p",
      config,
      state: () => 7,
      requestHeaders(_headers, tx) {
        expectTypeOf(tx).toEqualTypeOf<Transaction<number, { limit: number }>>();
        return tx.config.limit > tx.state ? immediateResponse(429) : undefined;
      },
      done(tx, end) {
        expectTypeOf(tx.config.limit).toEqualTypeOf<number>();
        expectTypeOf(end).toEqualTypeOf<TransactionEnd>();
      },
    });
    defineProcessor({
      name: "p",
      config,
      responseHeaders(_headers, tx) {
        expectTypeOf(tx.state).toEqualTypeOf<undefined>();
        // @ts-expect-error no such setting
        tx.config.limits;
        // @ts-expect-error it is shared by all transactions of the route
        tx.config = { limit: 1 };
      },
    });
  });

  test("config has the type undefined without a schema", () => {
    defineProcessor({
      name: "p",
      requestHeaders: (_headers, tx) => expectTypeOf(tx.config).toEqualTypeOf<undefined>() && undefined,
    });
  });

  test("timeoutMs, onFault, config, setup and close have the types of a definition", () => {
    defineProcessor({
      name: "p",
      timeoutMs: undefined,
      onFault: "closed",
      setup: async (signal) => signal.throwIfAborted(),
      close() {},
    });
    // @ts-expect-error no such policy
    defineProcessor({ name: "p", onFault: "ignore" });
    // @ts-expect-error milliseconds are a number
    defineProcessor({ name: "p", timeoutMs: "150ms" });
    // @ts-expect-error a schema, not a value
    defineProcessor({ name: "p", config: { limit: 3 } });
  });
});

describe("results of handlers", () => {
  test("handlers may return an effect, several effects, or nothing", () => {
    defineProcessor({ name: "p", requestHeaders: () => setHeader("a", "b") });
    defineProcessor({ name: "p", requestHeaders: () => [setHeader("a", "b"), immediateResponse(403)] });
    defineProcessor({ name: "p", requestHeaders: () => [setHeader("a", "b"), headersOnly, requestOnly] });
    defineProcessor({ name: "p", requestHeaders: () => [] });
    defineProcessor({ name: "p", requestHeaders: () => undefined });
    defineProcessor({ name: "p", requestHeaders: () => {} });
    defineProcessor({
      name: "p",
      requestHeaders(headers) {
        if (header(headers, "x-no")) return immediateResponse(403);
        return;
      },
    });
    defineProcessor({
      name: "p",
      requestHeaders(headers) {
        const effects: Effect<EditablePhase>[] = [];
        if (header(headers, "x-a")) effects.push(removeHeader("x-a"));
        return effects;
      },
    });
  });

  test("handlers may return the same results in a promise", () => {
    defineProcessor({ name: "p", requestHeaders: async () => setHeader("a", "b") });
    defineProcessor({ name: "p", requestHeaders: async () => [setHeader("a", "b"), removeHeader("c")] });
    defineProcessor({ name: "p", requestHeaders: async () => {} });
    defineProcessor({ name: "p", requestHeaders: async () => undefined });
    defineProcessor({
      name: "p",
      async requestHeaders(headers, tx) {
        if (tx.request.one("authorization") === undefined) return immediateResponse(401);
        await Promise.resolve(headers);
        return;
      },
    });
    defineProcessor({
      name: "p",
      async requestHeaders(headers) {
        return header(headers, "x-a") ? setHeader("a", "b") : undefined;
      },
    });
    defineProcessor({
      name: "p",
      requestHeaders: (headers) => (header(headers, "x-a") ? Promise.resolve(setHeader("a", "b")) : undefined),
    });
  });

  test("a parsed setting may leave a handler undefined", () => {
    defineProcessor({ name: "p", requestHeaders: Math.random() > 2 ? () => setHeader("a", "b") : undefined });
  });
});

describe("mistakes that do not compile", () => {
  test("a plain object instead of an effect does not compile", () => {
    // @ts-expect-error no mark
    defineProcessor({ name: "p", requestHeaders: () => ({ kind: "setHeader", name: "a", value: "b" }) });
    // @ts-expect-error no mark, in an array
    defineProcessor({ name: "p", requestHeaders: () => [{ kind: "setHeader", name: "a", value: "b" }] });
    // @ts-expect-error no mark, in a promise
    defineProcessor({ name: "p", requestHeaders: async () => ({ kind: "setHeader", name: "a", value: "b" }) });
    // @ts-expect-error a string is not an effect either
    defineProcessor({ name: "p", requestHeaders: () => "setHeader" });
    // @ts-expect-error nor is null
    defineProcessor({ name: "p", requestHeaders: () => null });
    // @ts-expect-error nor an array inside an array
    defineProcessor({ name: "p", requestHeaders: () => [[setHeader("a", "b")]] });
    // @ts-expect-error nor a hole in one
    defineProcessor({ name: "p", requestHeaders: () => [setHeader("a", "b"), undefined] });
  });

  test("an effect in a phase in which Envoy ignores it does not compile", () => {
    defineProcessor({ name: "p", responseHeaders: () => responseOnly });
    // @ts-expect-error the wrong direction
    defineProcessor({ name: "p", requestHeaders: () => responseOnly });
    // @ts-expect-error trailers
    defineProcessor({ name: "p", responseTrailers: () => responseOnly });
    // @ts-expect-error trailers, in a promise
    defineProcessor({ name: "p", requestTrailers: async () => headersOnly });
    // @ts-expect-error a body effect among headers
    defineProcessor({ name: "p", requestHeaders: () => bodyOnly });
    // @ts-expect-error one wrong among right ones
    defineProcessor({ name: "p", requestHeaders: () => [setHeader("a", "b"), responseOnly] });
  });

  test("effects of fewer phases cannot be used as effects of more phases", () => {
    expectTypeOf<Effect<EditablePhase>>().toExtend<Effect<"requestHeaders">>();
    expectTypeOf<Effect<"requestHeaders">>().not.toExtend<Effect<EditablePhase>>();
    expectTypeOf<Effect<"requestHeaders">>().not.toExtend<Effect<"responseHeaders">>();
    expectTypeOf(setHeader).returns.toEqualTypeOf<Effect<EditablePlace>>();
    expectTypeOf(appendHeader).returns.toEqualTypeOf<Effect<EditablePlace>>();
    expectTypeOf(removeHeader).returns.toEqualTypeOf<Effect<EditablePlace>>();
    expectTypeOf(immediateResponse).returns.toEqualTypeOf<Effect<EditablePlace>>();
  });

  test("each effect has the type of a phase in which Envoy obeys it", () => {
    type Headers = Effect<"requestHeaders" | "responseHeaders">;
    expectTypeOf(addHeaderIfAbsent).returns.toEqualTypeOf<Effect<EditablePlace>>();
    expectTypeOf(overwriteHeaderIfExists).returns.toEqualTypeOf<Effect<EditablePlace>>();
    expectTypeOf(setDynamicMetadata).returns.toEqualTypeOf<Effect<EffectPlace>>();
    expectTypeOf(setTypedDynamicMetadata).returns.toEqualTypeOf<Effect<EffectPlace>>();
    expectTypeOf(overrideMode).returns.toEqualTypeOf<Headers>();
    expectTypeOf(setStatus).returns.toEqualTypeOf<Effect<"responseHeaders" | "responseBody">>();
    for (const make of [setPath, setAuthority, clearRouteCache])
      expectTypeOf(make).returns.toEqualTypeOf<Effect<"requestHeaders" | "requestBody">>();
    for (const make of [setMethod, streamedImmediateResponse])
      expectTypeOf(make).returns.toEqualTypeOf<Effect<"requestHeaders">>();
    for (const make of [replaceBody, replaceText, replaceJson, clearBody])
      expectTypeOf(make).returns.toEqualTypeOf<Effect<"requestBody" | "responseBody">>();
    expectTypeOf(appendChunk).returns.toEqualTypeOf<Effect<"requestBodyEnd" | "responseBodyEnd">>();
    expectTypeOf(continueAndReplace).returns.toEqualTypeOf<Headers>();
  });

  test("an effect of the other direction, or of headers in trailers, does not compile", () => {
    defineProcessor({ name: "p", requestHeaders: () => [setPath("/"), clearRouteCache(), overrideMode({})] });
    // @ts-expect-error a request has no status
    defineProcessor({ name: "p", requestHeaders: () => setStatus(200) });
    // @ts-expect-error one wrong among right ones
    defineProcessor({ name: "p", requestHeaders: () => [setHeader("a", "b"), setStatus(200)] });
    // @ts-expect-error a response has no path
    defineProcessor({ name: "p", responseHeaders: () => setPath("/") });
    // @ts-expect-error nor an authority
    defineProcessor({ name: "p", responseHeaders: async () => setAuthority("a") });
    // @ts-expect-error the route is past
    defineProcessor({ name: "p", responseHeaders: () => clearRouteCache() });
    // @ts-expect-error so is the moment to begin a streamed response
    defineProcessor({ name: "p", responseHeaders: () => streamedImmediateResponse(200) });
    // @ts-expect-error trailers cannot carry an override
    defineProcessor({ name: "p", requestTrailers: () => overrideMode({ requestBody: "STREAMED" }) });
    // @ts-expect-error nor for a status
    defineProcessor({ name: "p", responseTrailers: () => setStatus(200) });
  });

  test("modes that Envoy does not have do not compile", () => {
    overrideMode({ requestBody: "FULL_DUPLEX_STREAMED", requestTrailers: undefined });
    // @ts-expect-error Envoy's filter has no GRPC mode
    overrideMode({ requestBody: "GRPC" });
    // @ts-expect-error request headers are past
    overrideMode({ requestHeaders: "SKIP" });
    // @ts-expect-error Envoy's own words
    overrideMode({ requestBody: "buffered" });
  });

  test("values that metadata cannot have do not compile", () => {
    setDynamicMetadata("n", { a: [1, "b", null, { c: true }] });
    // @ts-expect-error a bigint is not JSON
    setDynamicMetadata("n", { a: 1n });
    // @ts-expect-error a namespace holds an object
    setDynamicMetadata("n", "a");
    // @ts-expect-error pack it with anyPack
    setTypedDynamicMetadata("n", { a: 1 });
    // @ts-expect-error one value for each header of a streamed response
    streamedImmediateResponse(200, { headers: { a: ["b", "c"] } });
  });

  test("properties that a processor does not have do not compile", () => {
    // @ts-expect-error a body handler says how it reads
    defineProcessor({ name: "p", requestBody: () => undefined });
    // @ts-expect-error a misspelt phase
    defineProcessor({ name: "p", requestHeader: () => undefined });
    // @ts-expect-error no name
    defineProcessor({ requestHeaders: () => undefined });
    // @ts-expect-error a name that is not valid
    defineProcessor({ name: 5 });
    // @ts-expect-error a handler that is not a function
    defineProcessor({ name: "p", requestHeaders: setHeader("a", "b") });
    // @ts-expect-error the state is another one
    defineProcessor({ name: "p", state: () => ({ n: 1 }), requestHeaders: (_h, tx) => void tx.state.m });
  });

  test("values that are neither text nor bytes do not compile", () => {
    setHeader("a", new Uint8Array());
    // @ts-expect-error a number
    setHeader("a", 5);
    // @ts-expect-error no value
    appendHeader("a");
    // @ts-expect-error undefined
    setHeader("a", undefined);
    // @ts-expect-error several values
    setHeader("a", ["b", "c"]);
  });

  test("an immediate response with two bodies does not compile", () => {
    immediateResponse(200);
    immediateResponse(200, { json: { a: 1 }, headers: { a: ["b", new Uint8Array()] }, grpcStatus: 7, details: "d" });
    immediateResponse(200, { text: "a", headers: undefined });
    immediateResponse(200, { bytes: new Uint8Array() });
    // @ts-expect-error json and text
    immediateResponse(200, { json: {}, text: "a" });
    // @ts-expect-error text and bytes
    immediateResponse(200, { text: "a", bytes: new Uint8Array() });
    // @ts-expect-error json and bytes
    immediateResponse(200, { json: 1, bytes: new Uint8Array() });
    // @ts-expect-error text that is bytes
    immediateResponse(200, { text: new Uint8Array() });
    // @ts-expect-error a header that is a number
    immediateResponse(200, { headers: { a: 5 } });
    // @ts-expect-error an unknown property
    immediateResponse(200, { body: "a" });
    // @ts-expect-error a status that is text
    immediateResponse("200");
  });
});

describe("Processor", () => {
  test("Processor is opaque: its content cannot be read or made", () => {
    const processor = defineProcessor({ name: "p", state: () => 1 });
    expectTypeOf(processor).toEqualTypeOf<Processor>();
    expectTypeOf<Extract<keyof Processor, string>>().toEqualTypeOf<"name">();
    // @ts-expect-error no handlers to call
    processor.requestHeaders;
    // @ts-expect-error a plain object is not a processor
    const made: Processor = { name: "p" };
    expectTypeOf(made.name).toEqualTypeOf<string>();
    // @ts-expect-error a definition is not a processor
    compose({ name: "p", requestHeaders: () => undefined });
  });

  test("processors compose with any states", () => {
    const count = defineProcessor({ name: "a", state: () => 1, requestHeaders: (_h, tx) => void tx.state++ });
    const user = defineProcessor({ name: "b", state: () => ({ user: "" }) });
    const none = defineProcessor({ name: "c" });
    expectTypeOf(compose(count, user, none)).toEqualTypeOf<Processor>();
    expectTypeOf(compose(compose(count, user), none)).toEqualTypeOf<Processor>();
    const many: readonly Processor[] = [count, user];
    expectTypeOf(compose(...many)).toEqualTypeOf<Processor>();
  });
});

test("a fault and an effect cannot be changed", () => {
  expectTypeOf<Fault["source"]>().toEqualTypeOf<"envoy" | "handler" | "internal">();
  // @ts-expect-error a value is a value
  setHeader("a", "b").kind = "removeHeader";
});
