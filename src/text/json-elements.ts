const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_ARRAY, OPEN_OBJECT] = [...'"\\,:[{'].map((character) =>
  character.charCodeAt(0),
) as [number, number, number, number, number, number];

/**
 * True if a JSON text in UTF-8 has more elements than `max`. Each array, object, item and name counts as one. It reads
 * the text once and allocates nothing, so a text can be rejected before it is parsed, which costs much more. The text
 * may be invalid.
 */
export function hasMoreElements(json: Uint8Array, max: number): boolean {
  // Nearly every text is too short to have so many.
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

/** Returns the index of the closing quote of a string, or the end of the text. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}
