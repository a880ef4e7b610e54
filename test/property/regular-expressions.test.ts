import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createContext, Script } from "node:vm";
import { parseSync, Visitor } from "oxc-parser";
import { describe, expect, test } from "vitest";
import { isSuperLinear } from "./growth.ts";
import { type PumpedText, pumpedTexts } from "./pumped-texts.ts";

interface Expression {
  readonly place: string;
  readonly pattern: string;
  readonly flags: string;
}

const root = join(import.meta.dirname, "../..");
/** With this many repetitions exponential work is endless, and polynomial work takes almost no time. */
const FEW = 40;
const ENDLESS_MS = 1_500;

function sourceFiles(): string[] {
  const under = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
  const isSource = (name: string) => /\.(?:ts|js|mjs)$/.test(name) && !/\.test\.ts$|node_modules/.test(name);
  return [...under("src"), ...under("examples")].filter(isSource);
}

/** The regular expressions of a file: its literals, and the texts that `RegExp` is called with. */
function expressionsOf(file: string): Expression[] {
  const text = readFileSync(join(root, file), "utf8");
  const found: Expression[] = [];
  const add = (start: number, pattern: string, flags: string) =>
    found.push({ place: `${file}:${text.slice(0, start).split("\n").length}`, pattern, flags });
  const onCall = ({ callee, arguments: [first], start }: { callee: object; arguments: object[]; start: number }) => {
    if (!("name" in callee) || callee.name !== "RegExp" || first === undefined) return;
    // The text between the expressions of a template is constant.
    const parts = "quasis" in first ? (first.quasis as { value: { cooked: string } }[]) : [];
    if (parts.length > 0) add(start, parts.map(({ value }) => value.cooked).join("x"), "");
  };
  new Visitor({
    Literal: (node) => "regex" in node && add(node.start, node.regex.pattern, node.regex.flags),
    NewExpression: onCall,
    CallExpression: onCall,
  }).visit(parseSync(file, text).program);
  return found;
}

const sandbox = createContext({});
const runExpression = new Script("expression.test(text)");

function isEndless(expression: RegExp, text: string): boolean {
  try {
    Object.assign(sandbox, { expression, text });
    runExpression.runInContext(sandbox, { timeout: ENDLESS_MS });
    return false;
  } catch {
    return true;
  }
}

/** Attacks with a text of an increasing number of repetitions. */
function isSlow({ pattern, flags }: Expression, { before, pump, after }: PumpedText): boolean {
  const textOf = (count: number) => before + pump.repeat(count) + after;
  // A sticky expression begins at one place.
  const source = flags.includes("y") ? `^(?:${pattern})` : pattern;
  const expression = new RegExp(source, flags.replace(/[gy]/g, ""));
  if (isEndless(expression, textOf(FEW)) && isEndless(expression, textOf(FEW))) return true;
  const work = (count: number) => {
    const text = Buffer.from(textOf(count), "utf16le").toString("utf16le");
    return () => void expression.test(text);
  };
  return isSuperLinear(work, 2048);
}

function slowText(expression: Expression): PumpedText | undefined {
  return pumpedTexts(expression.pattern, expression.flags).find((text) => isSlow(expression, text));
}

describe("the search for slow regular expressions", () => {
  test.each([
    ["blanks at the ends", "^[ \\t]+|[ \\t]+$"],
    ["a run at the end", "=+$"],
    ["two runs that take the same", "^([\\w-]+):\\s*(.*)$"],
    ["a word before a mark", "(\\b[a-z][a-z0-9+.-]*:\\/\\/)[^/?#\\s@]*@"],
    ["numbers at the end", "([^\\s()]+:\\d+):\\d+\\)?$"],
    ["a repeated run", "^(?:a+)+$"],
    ["a repeated choice", "^(?:a|a)*$"],
  ])(
    "the search finds %s",
    (_name, pattern) => {
      expect(slowText({ place: "", pattern, flags: "" })).toBeDefined();
    },
    60_000,
  );

  test.each(["^[a-z]+$", "^([^:]+):(.*)$", "[?#].*$", "\\s+"])("the search does not report /%s/", (pattern) => {
    expect(slowText({ place: "", pattern, flags: "s" })).toBeUndefined();
  });
});

test("every regular expression in src and examples takes time in proportion to the text", () => {
  const expressions = sourceFiles().flatMap(expressionsOf);
  expect(expressions.length).toBeGreaterThan(100);
  const slow = expressions.flatMap((expression) => {
    const text = slowText(expression);
    return text === undefined ? [] : [{ ...expression, text }];
  });
  expect(slow).toEqual([]);
}, 240_000);
