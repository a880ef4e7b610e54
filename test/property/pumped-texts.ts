import { type AST, RegExpParser, visitRegExpAST } from "@eslint-community/regexpp";

/** A text whose middle is repeated, so that a backtracking matcher starts again and again. */
export interface PumpedText {
  readonly before: string;
  readonly pump: string;
  readonly after: string;
}

/** Characters of the classes that expressions use. The last one is in no class. */
const CHARACTERS = [..." \ta0A_-.:/@+;,=\"'()[]{}<>&%#!?*\\\n\r\u00e9\udc80", "\u0000"];

/**
 * Texts that attack a regular expression. Each of its repetitions is repeated many times: behind its required prefix and
 * at the start, with each character that it matches and with the whole expression so far. The text after it does not
 * match.
 */
export function pumpedTexts(pattern: string, flags: string): PumpedText[] {
  const texts = new Map<string, PumpedText>();
  const root = new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: flags.includes("u") });
  visitRegExpAST(root, {
    onQuantifierEnter(quantifier) {
      const before = textBefore(quantifier);
      const taken = [...charactersOf(quantifier.element).slice(0, 6), textOf(quantifier.element)];
      const pumps = [...taken, ...taken.map((one) => before + one), ...pairsOf(taken.slice(0, 4))];
      for (const pump of new Set(pumps.filter((text) => text !== "")))
        for (const start of new Set(["", before, `\u0000${before}`]))
          for (const after of ["\u0000", "\u0000\n", "\n\u0000"])
            texts.set(JSON.stringify([start, pump, after]), { before: start, pump, after });
    },
  });
  return [...texts.values()];
}

function pairsOf(texts: readonly string[]): string[] {
  return texts.flatMap((one) => texts.map((other) => one + other));
}

/** A text that matches everything before a part of the expression. */
function textBefore(part: AST.Quantifier): string {
  let text = "";
  for (let node: AST.Node = part; node.parent; node = node.parent) {
    if (node.parent.type !== "Alternative") continue;
    const { elements } = node.parent;
    text =
      elements
        .slice(0, elements.indexOf(node as AST.Element))
        .map(textOf)
        .join("") + text;
  }
  return text;
}

function textOf(node: AST.Element | AST.QuantifiableElement): string {
  switch (node.type) {
    case "Character":
      return node.raw === "" ? "" : String.fromCodePoint(node.value);
    case "Quantifier":
      return textOf(node.element).repeat(Math.max(node.min, 1));
    case "Group":
    case "CapturingGroup":
      return (node.alternatives[0]?.elements ?? []).map(textOf).join("");
    case "CharacterSet":
    case "CharacterClass":
      return charactersOf(node)[0] ?? "";
    default:
      return "";
  }
}

/** The characters of {@link CHARACTERS}, and the end of each range, that one part of an expression matches. */
function charactersOf(node: AST.QuantifiableElement): string[] {
  const ownCharacters = [...new Set(node.raw)].filter((char) => char !== "\\");
  return [...new Set([...CHARACTERS, ...ownCharacters])].filter((char) => takes(node, char));
}

function takes(node: AST.QuantifiableElement, char: string): boolean {
  try {
    return new RegExp(`^(?:${node.raw})$`, "s").test(char);
  } catch {
    // A part with a reference to a group outside of it.
    return false;
  }
}
