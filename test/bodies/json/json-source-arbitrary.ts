import { fc } from "../../property/seed.ts";

/** A JSON text as a person or a program can write it, and the positions of its values. */
export type SourceNode =
  | { readonly kind: "leaf"; readonly text: string }
  | { readonly kind: "array"; readonly items: readonly SourceItem[]; readonly space: string }
  | { readonly kind: "object"; readonly items: readonly (SourceItem & SourceName)[]; readonly space: string };

export interface SourceItem {
  readonly before: string;
  readonly node: SourceNode;
  readonly after: string;
}

interface SourceName {
  readonly name: string;
  readonly nameText: string;
  readonly colon: string;
}

const space = fc.constantFrom("", "", "", " ", "\n  ", "\t", "\r\n");
const digits = fc.stringMatching(/^[1-9][0-9]{0,24}$/);
const number = fc.oneof(
  digits,
  fc.constantFrom("0", "-0", "0.0", "1.10", "1e400", "-1E+400", "1e-400", "12345678901234567890", "5e-324", "100e-2"),
  fc.tuple(digits, fc.stringMatching(/^[0-9]{1,20}$/)).map(([whole, fraction]) => `-${whole}.${fraction}`),
  fc.tuple(digits, fc.integer({ min: -330, max: 330 })).map(([whole, exponent]) => `${whole}E${exponent}`),
);
/** A string and its spelling, with escapes even if they are not needed. */
const string = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "\\u00e9",
        "\\u00E9",
        "\\/",
        '\\"',
        "\\\\",
        "\\n",
        "\\ud800",
        "\\uD83D\\uDE00",
        "é",
        "😀",
        "/",
        "__",
      ),
      fc.stringMatching(/^[a-z0-9]{0,6}$/),
    ),
    { maxLength: 4 },
  )
  .map((parts) => `"${parts.join("")}"`);
const name = fc.oneof(
  { weight: 3, arbitrary: string },
  {
    weight: 2,
    arbitrary: fc.constantFrom('"a"', '"b"', '"__proto__"', '"constructor"', '"toJSON"', '"10"', '"2"', '""'),
  },
);

export const sourceArbitrary: fc.Arbitrary<SourceNode> = fc.letrec<{ node: SourceNode }>((tie) => {
  const item = fc.record({ before: space, node: tie("node"), after: space });
  const member = fc.tuple(item, name, space, space).map(([parts, nameText, left, right]) => ({
    ...parts,
    nameText,
    name: JSON.parse(nameText) as string,
    colon: `${left}:${right}`,
  }));
  return {
    node: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc
        .oneof(number, string, fc.constantFrom("true", "false", "null"))
        .map((text) => ({ kind: "leaf", text }) as const),
      fc.record({ kind: fc.constant("array" as const), items: fc.array(item, { maxLength: 5 }), space }),
      fc.record({ kind: fc.constant("object" as const), items: fc.array(member, { maxLength: 5 }), space }),
    ),
  };
}).node;

/** The text, with another text at a path, which has the index of an item at each level. */
export function render(node: SourceNode, path?: readonly number[], replacement = ""): string {
  if (path?.length === 0) return replacement;
  if (node.kind === "leaf") return node.text;
  const [open, close] = node.kind === "array" ? "[]" : "{}";
  if (node.items.length === 0) return `${open}${node.space}${close}`;
  const texts = node.items.map((item, index) => {
    const within = path?.[0] === index ? path.slice(1) : undefined;
    const start = "nameText" in item ? `${item.before}${item.nameText}${item.colon}` : item.before;
    return `${start}${render(item.node, within, replacement)}${item.after}`;
  });
  return `${open}${texts.join(",")}${close}`;
}

/** The paths of all values that a parsed text shows. It leaves out names that come several times. */
export function pathsOf(node: SourceNode): number[][] {
  if (node.kind === "leaf") return [[]];
  const inside = node.items.flatMap((item, index) => {
    const isTwin =
      "name" in item && node.items.filter((other) => "name" in other && other.name === item.name).length > 1;
    return isTwin ? [] : pathsOf(item.node).map((path) => [index, ...path]);
  });
  return [[], ...inside];
}

/** The keys of a parsed value that lead to a path. */
export function keysOf(node: SourceNode, path: readonly number[]): (string | number)[] {
  const [index, ...rest] = path;
  if (index === undefined || node.kind === "leaf") return [];
  const item = node.items[index] as SourceItem;
  return ["name" in item ? (item.name as string) : index, ...keysOf(item.node, rest)];
}
