import { describe, expect, test } from "vitest";
import { writeJson } from "../../src/bodies/json/json-merge.ts";
import { readJsonText } from "../../src/bodies/json/json-text.ts";
import { keysOf, pathsOf, render, sourceArbitrary } from "../bodies/json/json-source-arbitrary.ts";
import { bounded, fc } from "./seed.ts";

type Container = Record<string | number, unknown>;

const MARK = "what the handler put there";

/** The value, changed in place at the end of a path. */
function changeInPlace(value: unknown, keys: readonly (string | number)[], change: unknown): unknown {
  const [last] = keys.slice(-1);
  if (last === undefined) return change;
  const parent = keys.slice(0, -1).reduce((at, key) => (at as Container)[key] as Container, value as Container);
  parent[last] = change;
  return value;
}

/** The same change as a new value, which shares unchanged parts. */
function changeInCopy(value: unknown, [key, ...rest]: readonly (string | number)[], change: unknown): unknown {
  if (key === undefined) return change;
  const changed = changeInCopy((value as Container)[key], rest, change);
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? changed : item));
  // Uses defineProperty, because a name may be __proto__.
  const copy = { ...(value as Container) };
  return Object.defineProperty(copy, key, { value: changed, enumerable: true, configurable: true, writable: true });
}

const changedArbitrary = sourceArbitrary.chain((node) =>
  fc.record({ node: fc.constant(node), path: fc.constantFrom(...pathsOf(node)) }),
);

/** A member named toJSON is never called, because it is not a function. */
describe("a JSON value instead of its source", () => {
  test.each([
    ["in place", changeInPlace],
    ["in a copy", changeInCopy],
  ])("writeJson changes only the replaced member %s", (_how, change) => {
    fc.assert(
      fc.property(changedArbitrary, ({ node, path }) => {
        const source = render(node);
        const value = change(JSON.parse(source), keysOf(node, path), MARK);
        expect(writeJson(value, source)).toEqual({ text: render(node, path, JSON.stringify(MARK)) });
      }),
      bounded(3000),
    );
  });

  test("writeJson gives an unchanged value back byte for byte", () => {
    fc.assert(
      fc.property(sourceArbitrary, (node) => {
        const source = render(node);
        expect(writeJson(JSON.parse(source), source)).toEqual({ text: source });
        expect(writeJson(structuredClone(JSON.parse(source)), source)).toEqual({ text: source });
      }),
      bounded(1000),
    );
  });

  test("writeJson writes a text that is read as the value, whatever the source was", () => {
    fc.assert(
      fc.property(sourceArbitrary, fc.jsonValue(), (node, value) => {
        const written = writeJson(value, render(node));
        if ("problem" in written) return;
        expect(JSON.parse(written.text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      bounded(2000),
    );
  });

  test("writeJson keeps the text of each element that stays when elements are removed and inserted", () => {
    const elements = fc.uniqueArray(sourceArbitrary, {
      selector: (node) => JSON.stringify(JSON.parse(render(node))),
      maxLength: 8,
    });
    const edits = fc.array(fc.record({ at: fc.nat(8), inserts: fc.boolean() }), { maxLength: 4 });
    fc.assert(
      fc.property(elements, edits, (nodes, edited) => {
        const texts = nodes.map((node) => render(node));
        const source = `[${texts.join(" , ")}]`;
        const value = JSON.parse(source) as unknown[];
        const expected = [...texts];
        for (const { at, inserts } of edited) {
          value.splice(at, inserts ? 0 : 1, ...(inserts ? ["inserted"] : []));
          expected.splice(at, inserts ? 0 : 1, ...(inserts ? ['"inserted"'] : []));
        }
        const written = writeJson(value, source);
        if ("problem" in written) return expect(written.problem).toMatch("more than 15 digits");
        const { items } = readJsonText(written.text).root;
        expect(items.map(({ start, end }) => written.text.slice(start, end))).toEqual(expected);
      }),
      bounded(2000),
    );
  });
});
