import {
  combineTextAndLanguageSettings,
  getDefaultSettings,
  getDictionary,
  loadConfig,
  mergeSettings,
} from "cspell-lib";

/** Shorter words are not checked: they are mostly units and variables. */
const LEAST_LETTERS = 4;
/** A word in lower case, or with one capital at its start, that is not a part of a name such as `x-user` or `file.ts`. */
const WORD = /(?<![\p{L}\p{N}_./@#$%\\-])\p{L}\p{Ll}+(?:['’]\p{Ll}+)?(?![\p{L}\p{N}_/@]|[.-]\p{L})/gu;

/**
 * Loads cspell's dictionaries and the project's words.
 *
 * @param {string} config Path of cspell.json.
 * @returns {Promise<(word: string) => boolean>} Whether a word is known.
 */
export async function loadSpelling(config) {
  const settings = mergeSettings(await getDefaultSettings(), await loadConfig(config));
  const dictionary = await getDictionary(combineTextAndLanguageSettings(settings, "", "markdown"));
  /** @type {Map<string, boolean>} */
  const known = new Map();
  return (word) => {
    const isKnown = known.get(word) ?? dictionary.has(word);
    known.set(word, isKnown);
    return isKnown;
  };
}

/**
 * The words of a text that may be misspelt, with their offsets.
 *
 * @param {string} prose
 * @returns {{ word: string, index: number }[]}
 */
export function wordsOf(prose) {
  return [...prose.matchAll(WORD)]
    .map(({ 0: word, index }) => ({ word: word.replace(/['’]\p{Ll}+$/u, ""), index }))
    .filter(({ word }) => word.length >= LEAST_LETTERS);
}
