import type { Problem } from "../../text/problem.ts";

/** How deep JSON of a body may be nested. V8 needs about 80 ns a level, so 1 MB of brackets would block the thread for 80 ms. */
export const MAX_JSON_DEPTH = 1000;

/** A text this short is parsed in less than 1 ms, whatever its depth. */
const SHORT_CHARACTERS = 8192;

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [...'"\\[]{}'].map((character) =>
  character.charCodeAt(0),
) as [number, number, number, number, number, number];

/** The parsed value, or what is wrong with the text. */
export type ParsedJson = { readonly value: unknown } | Problem;

/**
 * Parses JSON that a client sent. A text of more than 8,192 characters that is nested deeper than {@link MAX_JSON_DEPTH} is
 * rejected.
 */
export function parseJson(text: string): ParsedJson {
  if (text.length > SHORT_CHARACTERS && isTooDeep(text))
    return { problem: `is JSON nested deeper than ${MAX_JSON_DEPTH} levels` };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { problem: "is not JSON" };
  }
}

/** Checks the depth in one pass, without building values. The text need not be valid. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at + 1);
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        if (++depth > MAX_JSON_DEPTH) return true;
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth--;
    }
  }
  return false;
}

/** The offset of the closing quote of a string, or of the end of the text. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) break;
    if (code === BACKSLASH) at++;
  }
  return at;
}
