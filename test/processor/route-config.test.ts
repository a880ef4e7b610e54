import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { compose } from "../../src/processor/compose.ts";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effect-headers.ts";
import type { StandardSchema } from "../../src/processor/standard-schema.ts";
import { headersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "./recorded-session.ts";

const LIMIT = z.object({ limit: z.number().int().default(3) }).prefault({});

/** Says what it is configured with. */
function teller(name: string, config: StandardSchema<unknown> = LIMIT): Processor {
  return defineProcessor({
    name,
    config,
    requestHeaders: (_headers, tx) => setHeader(`x-${name}`, JSON.stringify(tx.config)),
  });
}

/** Runs request headers on a route with this configuration: the changes, or the fault. */
function on(processor: Processor, ...texts: readonly string[]) {
  const metadataValues = (name: string) => (name === "x-ext-proc-config" ? texts : []);
  const recorded = recordSession(processor, { metadataValues });
  recorded.receive(headersOf("requestHeaders"));
  const fault = recorded.ends[0]?.fault;
  return fault ? `${fault.code}: ${fault.message}` : changesOf(recorded.answers[0]);
}

/** A schema by hand, which counts how often it is asked. */
function counting(validate: (value: unknown) => unknown) {
  const asked = vi.fn(validate);
  const schema = { "~standard": { version: 1, vendor: "test", validate: asked } } as unknown as StandardSchema;
  return { schema, asked };
}

describe("the configuration of a route", () => {
  test("is what the schema makes of the JSON text", () => {
    expect(on(teller("a"), '{"limit":7}')).toEqual(['x-a = {"limit":7}']);
  });

  test("is the schema's own where the route gives none", () => {
    expect(on(teller("a"))).toEqual(['x-a = {"limit":3}']);
  });

  test("is undefined without a schema, whatever the route gives", () => {
    const plain = defineProcessor({
      name: "plain",
      requestHeaders: (_headers, tx) => setHeader("x-a", String(tx.config)),
    });
    expect(on(plain, "no JSON")).toEqual(["x-a = undefined"]);
  });

  test("is validated once for each distinct text", () => {
    const { schema, asked } = counting((value) => ({ value: value ?? "none" }));
    const processor = teller("a", schema);
    const before = asked.mock.calls.length;
    for (let round = 0; round < 3; round++) {
      expect(on(processor, '"x"')).toEqual(['x-a = "x"']);
      expect(on(processor, '"y"')).toEqual(['x-a = "y"']);
      expect(on(processor)).toEqual(['x-a = "none"']);
    }
    expect(asked.mock.calls.slice(before)).toEqual([["x"], ["y"], [undefined]]);
  });

  test("is remembered for the last 256 texts, so that no flood of them fills the memory", () => {
    const { schema, asked } = counting((value) => ({ value: value ?? 0 }));
    const processor = teller("a", schema);
    for (let text = 0; text <= 256; text++) on(processor, String(text));
    const before = asked.mock.calls.length;
    on(processor, "256");
    expect(asked).toHaveBeenCalledTimes(before);
    on(processor, "0");
    expect(asked).toHaveBeenCalledTimes(before + 1);
  });
});

describe("the configuration of composed processors", () => {
  const plain = defineProcessor({ name: "plain" });

  test("is an object, keyed by the names of those that have a schema", () => {
    const chain = compose(teller("a"), plain, teller("b"));
    expect(on(chain, '{"b":{"limit":5}}')).toEqual(['x-a = {"limit":3}', 'x-b = {"limit":5}']);
    expect(on(chain)).toEqual(['x-a = {"limit":3}', 'x-b = {"limit":3}']);
  });

  test.each([
    ["5", "must be an object with a configuration for each processor"],
    ["[]", "must be an object with a configuration for each processor"],
    ["null", "must be an object with a configuration for each processor"],
    ['{"c":{}}', '"c", which names no processor with a config'],
    ['{"plain":{}}', '"plain", which names no processor with a config'],
    ['{"__proto__":{}}', '"__proto__", which names no processor with a config'],
    ['{"a":{"limit":"x"}}', 'for "a": limit: '],
  ])("%s is fault config_invalid", (text, message) => {
    expect(on(compose(teller("a"), plain), text)).toMatch(/^config_invalid: processor "a": x-ext-proc-config /);
    expect(on(compose(teller("a"), plain), text)).toContain(message);
  });

  test("is a fault of the part whose it is, and of no other", () => {
    const chain = compose(teller("a"), teller("b"));
    expect(on(chain, '{"b":5}')).toContain('config_invalid: processor "b": x-ext-proc-config for "b": ');
  });
});

describe("a configuration that cannot be used is fault config_invalid", () => {
  test("before the handler runs, and without the text itself", () => {
    expect(on(teller("a"), '{"limit":s3cr3t')).toBe('config_invalid: processor "a": x-ext-proc-config is no JSON');
    expect(on(teller("a"), "{}", "{}")).toBe('config_invalid: processor "a": x-ext-proc-config came more than once');
  });

  test("with the path of what is wrong, and at most three of them", () => {
    const many = z
      .object({ a: z.number(), b: z.number(), c: z.number(), d: z.number() })
      .default({ a: 1, b: 1, c: 1, d: 1 });
    expect(on(teller("a", many), "{}")).toMatch(
      /^config_invalid: processor "a": x-ext-proc-config for "a": a: .*; b: .*; c: .*; and 1 more$/,
    );
  });

  test("where the schema throws, or turns out to be asynchronous", () => {
    const throws = counting((value) => {
      if (value === undefined) return { value };
      throw new Error("s3cr3t");
    });
    expect(on(teller("a", throws.schema), "1")).toBe(
      'config_invalid: processor "a": x-ext-proc-config for "a": the schema threw',
    );
    const late = counting((value) => (value === undefined ? { value } : Promise.reject(new Error("late"))));
    expect(on(teller("a", late.schema), "1")).toContain("the schema validates asynchronously");
  });
});

describe("defineProcessor refuses a schema", () => {
  test("that does not take undefined, for routes without a configuration", () => {
    expect(() => teller("a", z.object({ limit: z.number() }))).toThrow(
      /^a\.config: must take undefined, for routes without a configuration, and does not \(.+\); give it a default$/,
    );
  });

  test("that validates asynchronously", () => {
    expect(() => teller("a", counting(async (value) => ({ value })).schema)).toThrow(TypeError);
    expect(() => teller("a", counting(async (value) => ({ value })).schema)).toThrow("validates asynchronously");
  });

  test("that gives a thenable of another library, whose value would be lost", () => {
    const resolve = (settle: (result: unknown) => void) => settle({ value: 1 });
    const thenable: unknown = new Proxy(
      {},
      { has: () => true, get: (_, name) => (name === "then" ? resolve : undefined) },
    );
    const { schema } = counting(() => thenable as Promise<{ value: unknown }>);
    expect(() => teller("a", schema)).toThrow("validates asynchronously");
  });
});
