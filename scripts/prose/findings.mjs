import { proseOf } from "./extract.mjs";
import { RULES } from "./rules.mjs";
import { wordsOf } from "./spelling.mjs";

/** @typedef {{ readonly line: number, readonly column: number, readonly text: string, readonly advice: string }} Finding */

/**
 * The phrases of a file that the rules reject, and the words that are not in the dictionaries, in order.
 *
 * @param {string} path
 * @param {string} content
 * @param {{ readonly quoted: readonly string[], readonly isKnown: (word: string) => boolean }} options
 *   `quoted`: texts of Envoy that are quoted as they are.
 * @returns {Finding[]}
 */
export function findingsOf(path, content, { quoted, isKnown }) {
  let prose = proseOf(path, content);
  for (const quote of quoted) prose = prose.replaceAll(quote, " ".repeat(quote.length));
  const phrases = RULES.flatMap(({ pattern, advice }) =>
    [...prose.matchAll(pattern)].map(({ 0: text, index }) => ({ index, text: text.replaceAll(/\s+/g, " "), advice })),
  );
  const unknown = wordsOf(prose).filter(({ word }) => !isKnown(word));
  const words = unknown.map(({ word, index }) => ({
    index,
    text: word,
    advice: "unknown word; words of the project are in cspell.json",
  }));
  return [...phrases, ...words]
    .sort((left, right) => left.index - right.index)
    .map(({ index, text, advice }) => {
      const before = prose.slice(0, index);
      return { line: before.split("\n").length, column: index - before.lastIndexOf("\n"), text, advice };
    });
}
