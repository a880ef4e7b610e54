/**
 * Characters that control a terminal: control characters (Cc: C0, DEL and C1, whose U+009B begins an escape sequence),
 * characters that change the direction of text, and Unicode's line breaks.
 */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;

/**
 * A text with every such character written as `\uXXXX`, except line feed and tab. JSON keeps its meaning, because it
 * has such characters only in strings.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) =>
    character === "\n" || character === "\t" ? character : escaped(character),
  );
}

/** Like {@link printable}, for a text that must stay on one line: line feeds are escaped too. */
export function printableLine(text: string): string {
  return text.replace(OBEYED, (character) => (character === "\t" ? character : escaped(character)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
