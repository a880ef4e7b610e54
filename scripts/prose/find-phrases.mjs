import { proseOf } from "./extract.mjs";
import { RULES } from "./rules.mjs";

/** @typedef {{ readonly line: number, readonly column: number, readonly phrase: string, readonly advice: string }} Finding */

/**
 * The phrases of a file that the rules reject, in order.
 *
 * @param {string} path
 * @param {string} text
 * @param {readonly string[]} quoted Texts of Envoy that may be quoted as they are.
 * @returns {Finding[]}
 */
export function findPhrases(path, text, quoted = []) {
  let prose = proseOf(path, text);
  for (const quote of quoted) prose = prose.replaceAll(quote, " ".repeat(quote.length));
  const found = RULES.flatMap(({ pattern, advice }) =>
    [...prose.matchAll(pattern)].map(({ 0: phrase, index }) => ({ index, phrase, advice })),
  );
  found.sort((left, right) => left.index - right.index);
  return found.map(({ index, phrase, advice }) => {
    const before = prose.slice(0, index);
    const line = before.split("\n").length;
    const column = index - before.lastIndexOf("\n");
    return { line, column, phrase: phrase.replaceAll(/\s+/g, " "), advice };
  });
}
