import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineProcessor, definitionsOf, isProcessor } from "../../src/processor/definition.ts";

/** Values that a caller without types can pass. */
function define(definition: unknown): () => unknown {
  return () => defineProcessor(definition as Parameters<typeof defineProcessor>[0]);
}

describe("defineProcessor", () => {
  test("defineProcessor takes a name alone, or every property that it knows", () => {
    const handler = () => undefined;
    expect(defineProcessor({ name: "idle" }).name).toBe("idle");
    const full = defineProcessor({
      name: "full",
      state: () => 1,
      config: z.object({}).prefault({}),
      timeoutMs: 50,
      onFault: "closed",
      setup: async () => {},
      done: () => {},
      close: () => {},
      requestHeaders: handler,
      requestTrailers: handler,
      responseHeaders: handler,
      responseTrailers: handler,
    });
    expect(isProcessor(full)).toBe(true);
    expect(definitionsOf(full)).toHaveLength(1);
  });

  test.each(["a", "0", "jwt-auth", "a.b_c-d", "x".repeat(64)])("defineProcessor takes the name %s", (name) => {
    expect(defineProcessor({ name }).name).toBe(name);
  });

  test.each(["", "A", "-a", ".a", "_a", "a b", "a/b", "a+b", "é", "a\n", "x".repeat(65), undefined, null, 5, {}])(
    "defineProcessor refuses the name %j",
    (name) => {
      expect(define({ name })).toThrow(TypeError);
      expect(define({ name })).toThrow(/is not a processor name/);
    },
  );

  test.each([undefined, null, "p", () => undefined, []])(
    "defineProcessor refuses %s as a definition, and names what it got",
    (value) => {
      expect(define(value)).toThrow(
        /^defineProcessor: its argument is (?:undefined|null|a string|a function|an array), must be an object$/,
      );
    },
  );

  test("defineProcessor refuses a property that it does not know, and lists those that it knows", () => {
    expect(define({ name: "p", requestHeader: () => undefined })).toThrow(
      new TypeError(
        "p.requestHeader: no such property; a processor has name, state, config, timeoutMs, onFault, readsRequest, setup, done, close, requestBody, responseBody, grpc, requestHeaders, requestTrailers, responseHeaders, responseTrailers",
      ),
    );
    for (const property of ["requestBodies", "toString", "__proto_"])
      expect(define({ name: "p", [property]: () => undefined })).toThrow(`p.${property}: no such property`);
  });

  test.each([
    ["a string", "x"],
    ["an object", {}],
    ["null", null],
    ["an array", []],
    ["a boolean", true],
  ])("defineProcessor refuses %s as handler or state", (_what, value) => {
    for (const property of ["state", "setup", "done", "close", "requestHeaders", "responseTrailers"]) {
      expect(define({ name: "p", [property]: value })).toThrow(TypeError);
      expect(define({ name: "p", [property]: value })).toThrow(/^p\.\w+: is \w+, must be a function$/);
    }
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "150", null])(
    "defineProcessor refuses the timeout %s",
    (timeoutMs) => {
      expect(define({ name: "p", timeoutMs })).toThrow(
        /^p\.timeoutMs: is .+, must be a whole number of milliseconds from 1 to 2147483647$/,
      );
    },
  );

  test.each(["Open", "", true, null, ["open"]])("defineProcessor refuses the fault policy %j", (onFault) => {
    expect(define({ name: "p", onFault })).toThrow(/^p\.onFault: is .+, must be one of "envoy", "open", "closed"$/);
  });

  test.each([{}, null, "schema", () => undefined, { "~standard": { version: 2, validate: () => ({ value: 1 }) } }])(
    "defineProcessor refuses a config that is not a Standard Schema (%#)",
    (config) => {
      expect(define({ name: "p", config })).toThrow(/^p\.config: is \w+, must be a Standard Schema/);
    },
  );

  test("defineProcessor takes undefined for an absent handler, as parsed settings give it", () => {
    expect(isProcessor(defineProcessor({ name: "p", requestHeaders: undefined, state: undefined }))).toBe(true);
  });

  test.each([undefined, null, "text", 5])(
    "defineProcessor refuses %s as a definition with a TypeError",
    (definition) => {
      expect(define(definition)).toThrow(TypeError);
    },
  );

  test("defineProcessor keeps handlers as methods of their definition", () => {
    const seen: unknown[] = [];
    const definition = {
      name: "method",
      requestHeaders(this: unknown) {
        seen.push(this);
      },
    };
    const [own] = definitionsOf(defineProcessor(definition));
    expect(own).toBe(definition);
  });
});

describe("isProcessor", () => {
  test.each([undefined, null, {}, [], "hello", () => undefined, { name: "p", requestHeaders: () => undefined }])(
    "isProcessor is false for %s",
    (value) => {
      expect(isProcessor(value)).toBe(false);
    },
  );
});
