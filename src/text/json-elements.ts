const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_ARRAY, OPEN_OBJECT] = [...'"\\,:[{'].map((character) =>
  character.charCodeAt(0),
) as [number, number, number, number, number, number];

/**
 * True if a text of JSON, in UTF-8, has more elements than `max`. Each array, object, item and name counts as one. One pass that makes
 * nothing, so that a text can be refused before it is parsed, which costs far more. The text need not be valid.
 */
export function hasMoreElements(json: Uint8Array, max: number): boolean {
  // Nearly every text is too short for it.
  if (json.length <= max) return false;
  let count = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case QUOTE:
        at = endOfString(json, at + 1);
        break;
      case COMMA:
      case COLON:
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        if (++count > max) return true;
    }
  }
  return false;
}

/** The offset of the closing quote of a string, or of the end of the text. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}
