import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { compose, defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { type RunRules, runRules } from "../../src/processor/run-rules.ts";
import type { StandardSchema } from "../../src/processor/standard-schema.ts";
import { headersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

const LIMIT = z.object({ limit: z.number().int().default(3) }).prefault({});

/** Sets a header with its configuration. */
function teller(name: string, config: StandardSchema<unknown> = LIMIT): Processor {
  return defineProcessor({
    name,
    config,
    requestHeaders: (_headers, tx) => setHeader(`x-${name}`, JSON.stringify(tx.config)),
  });
}

/** The rules of each processor. A server makes them once for all of its sessions. */
const rulesOf = new Map<Processor, RunRules>();

/** Runs request headers on a route with this configuration: the changes, or the fault. */
function on(processor: Processor, ...texts: readonly string[]) {
  const callHeaders = { all: (name: string) => (name === "x-ext-proc-config" ? texts : []) };
  const rules = rulesOf.get(processor) ?? runRules(processor);
  rulesOf.set(processor, rules);
  const recorded = recordSession(processor, { callHeaders, rules });
  recorded.receive(headersOf("requestHeaders"));
  const fault = recorded.ends[0]?.fault;
  return fault ? `${fault.code}: ${fault.message}` : changesOf(recorded.answers[0]);
}

/** A schema written by hand, which counts its calls. */
function counting(validate: (value: unknown) => unknown) {
  const asked = vi.fn(validate);
  const schema = { "~standard": { version: 1, vendor: "test", validate: asked } } as unknown as StandardSchema;
  return { schema, asked };
}

describe("the configuration of a route", () => {
  test("the configuration of a route is the schema's output for the JSON text", () => {
    expect(on(teller("a"), '{"limit":7}')).toEqual(['x-a = {"limit":7}']);
  });

  test("the configuration of a route is the schema's default if the route gives none", () => {
    expect(on(teller("a"))).toEqual(['x-a = {"limit":3}']);
  });

  test("the configuration of a route is undefined without a schema, whatever the route gives", () => {
    const plain = defineProcessor({
      name: "plain",
      requestHeaders: (_headers, tx) => setHeader("x-a", String(tx.config)),
    });
    expect(on(plain, "no JSON")).toEqual(["x-a = undefined"]);
  });

  test("the configuration of a route is validated once for each distinct text", () => {
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

  test("the configuration of a route is cached for texts of 1 MiB together, and not for a text that is longer than a quarter of that", () => {
    const { schema, asked } = counting(() => ({ value: 1 }));
    const processor = teller("a", schema);
    asked.mockClear();
    const text = (name: string, characters: number) => JSON.stringify(name.padEnd(characters, "x"));
    for (const name of ["a", "b", "c", "d", "e", "f"]) on(processor, text(name, 200_000));
    expect(asked).toHaveBeenCalledTimes(6);
    for (const name of ["b", "f"]) on(processor, text(name, 200_000));
    expect(asked).toHaveBeenCalledTimes(6);
    on(processor, text("a", 200_000));
    expect(asked).toHaveBeenCalledTimes(7);
    for (let count = 0; count < 2; count++) on(processor, text("long", 300_000));
    expect(asked).toHaveBeenCalledTimes(9);
    on(processor, text("f", 200_000));
    expect(asked).toHaveBeenCalledTimes(9);
  });

  test("the configuration of a route is cached for the last 256 texts, so that many texts cannot fill the memory", () => {
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

  test("the configuration of composed processors is an object, keyed by the names of those that have a schema", () => {
    const chain = compose(teller("a"), plain, teller("b"));
    expect(on(chain, '{"b":{"limit":5}}')).toEqual(['x-a = {"limit":3}', 'x-b = {"limit":5}']);
    expect(on(chain)).toEqual(['x-a = {"limit":3}', 'x-b = {"limit":3}']);
  });

  test.each([
    ["5", 'must be an object with a configuration for each processor, by its name: {"a": …, "b": …}'],
    ["[]", "must be an object with a configuration for each processor"],
    ["null", "must be an object with a configuration for each processor"],
    ['{"c":{}}', 'has "c", which names no processor with a config; write {"a": …, "b": …}'],
    ['{"limit":7}', 'has "limit", which names no processor with a config; write {"a": …, "b": …}'],
    ['{"plain":{}}', 'has "plain", which names no processor with a config; write {"a": …, "b": …}'],
    ['{"__proto__":{}}', 'has "__proto__", which names no processor with a config'],
    ['{"a":{},"limit":7}', 'has "limit", which names no processor with a config, and "a", which names a processor'],
    ['{"a":{"limit":"x"}}', 'for "a": limit: '],
  ])("a configuration that is %s is fault config_invalid if several processors have a schema", (text, message) => {
    const chain = compose(teller("a"), plain, teller("b"));
    expect(on(chain, text)).toMatch(/^config_invalid: processor "a": x-ext-proc-config /);
    expect(on(chain, text)).toContain(message);
  });

  test("a wrong configuration is a fault of its processor, and of no other", () => {
    const chain = compose(teller("a"), teller("b"));
    expect(on(chain, '{"b":5}')).toContain('config_invalid: processor "b": x-ext-proc-config for "b": ');
  });
});

describe("the configuration of the only processor with a schema", () => {
  const plain = defineProcessor({ name: "plain" });
  const ANY = counting((value) => ({ value: value ?? null })).schema;

  test.each<[string, Processor]>([
    ["served alone", teller("a")],
    ["served behind another processor", compose(plain, teller("a"))],
  ])("the configuration of the only processor with a schema is plain or keyed: %s", (_name, processor) => {
    expect(on(processor, '{"limit":7}')).toEqual(['x-a = {"limit":7}']);
    expect(on(processor, '{"a":{"limit":7}}')).toEqual(['x-a = {"limit":7}']);
    expect(on(processor, "{}")).toEqual(['x-a = {"limit":3}']);
  });

  test("the configuration of the only processor is keyed too if the schema has a property of the processor's own name", () => {
    const own = teller("a", z.object({ a: z.string().default("none") }).prefault({}));
    expect(on(own, '{"a":{"a":"x"}}')).toEqual(['x-a = {"a":"x"}']);
    expect(on(own, '{"a":"x"}')).toMatch(/^config_invalid: processor "a": x-ext-proc-config for "a": /);
    expect(on(own, '{"a":"x","b":"y"}')).toBe(
      'config_invalid: processor "a": x-ext-proc-config has "b", which names no processor with a config, and "a", which names a processor; write {"a": …}, also if "a" is a property of the configuration',
    );
  });

  test("a configuration under the name of a processor without a schema is refused, not taken for a plain one", () => {
    expect(on(compose(plain, teller("a")), '{"plain":{"limit":7}}')).toContain(
      'x-ext-proc-config has "plain", which names no processor with a config; write {"a": …}',
    );
  });

  test("a keyed configuration works with any other processors, and a plain one only while one processor has a schema", () => {
    const alone = teller("a", ANY);
    const beside = [compose(alone, plain), compose(alone, teller("b", ANY)), compose(teller("b", ANY), plain, alone)];
    const told = (processor: Processor, text: string) =>
      [on(processor, text)].flat().find((line) => line.startsWith("x-a ="));
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const expected = `x-a = ${JSON.stringify(JSON.parse(JSON.stringify(value)))}`;
        const keyed = JSON.stringify({ a: value });
        fc.pre(/^[\x20-\x7e]*$/.test(keyed) && expected.trimEnd() === expected);
        expect(told(alone, keyed)).toBe(expected);
        for (const chain of beside) expect(told(chain, keyed)).toBe(expected);
        const isPlain = typeof value !== "object" || value === null || !("a" in value || "plain" in value);
        if (isPlain)
          for (const one of [alone, beside[0] ?? alone]) expect(told(one, JSON.stringify(value))).toBe(expected);
      }),
    );
  });
});

describe("fault config_invalid", () => {
  test("fault config_invalid comes before the handler runs, and does not contain the text", () => {
    expect(on(teller("a"), '{"limit":s3cr3t')).toBe('config_invalid: processor "a": x-ext-proc-config is not JSON');
    expect(on(teller("a"), "{}", "{}")).toBe('config_invalid: processor "a": x-ext-proc-config came more than once');
  });

  test("fault config_invalid names the path of each problem, and at most three of them", () => {
    const many = z
      .object({ a: z.number(), b: z.number(), c: z.number(), d: z.number() })
      .default({ a: 1, b: 1, c: 1, d: 1 });
    expect(on(teller("a", many), "{}")).toMatch(
      /^config_invalid: processor "a": x-ext-proc-config for "a": a: .*; b: .*; c: .*; and 1 more$/,
    );
  });

  test("fault config_invalid comes if the schema throws, or is asynchronous after all", () => {
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

describe("the schema of defineProcessor", () => {
  test("defineProcessor refuses a schema that does not take undefined, for routes without a configuration", () => {
    expect(() => teller("a", z.object({ limit: z.number() }))).toThrow(
      /^a\.config: must accept undefined, for routes without a configuration, and does not \(.+\); give it a default$/,
    );
  });

  test("defineProcessor refuses a schema that validates asynchronously", () => {
    expect(() => teller("a", counting(async (value) => ({ value })).schema)).toThrow(TypeError);
    expect(() => teller("a", counting(async (value) => ({ value })).schema)).toThrow("validates asynchronously");
  });

  test("defineProcessor refuses a schema that gives a thenable of another library, whose value would be lost", () => {
    const resolve = (settle: (result: unknown) => void) => settle({ value: 1 });
    const thenable: unknown = new Proxy(
      {},
      { has: () => true, get: (_, name) => (name === "then" ? resolve : undefined) },
    );
    const { schema } = counting(() => thenable as Promise<{ value: unknown }>);
    expect(() => teller("a", schema)).toThrow("validates asynchronously");
  });
});
