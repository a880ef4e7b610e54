/**
 * Characters that a terminal obeys and does not show: control characters (Cc: C0, DEL and C1, whose U+009B begins an escape
 * sequence), those that change the direction of text, and Unicode's own line breaks.
 */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;

/**
 * A text with every character that a terminal would obey written as `\uXXXX`, except line feed and tab. JSON stays the same
 * JSON, since such characters stand in its strings only.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) =>
    character === "\n" || character === "\t" ? character : escaped(character),
  );
}

/** The same for a text that must stay one line: line feeds are escaped too. */
export function printableLine(text: string): string {
  return text.replace(OBEYED, (character) => (character === "\t" ? character : escaped(character)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
