/** Most changes of one letter that still count as a typing error. */
const MAX_SLIPS = 2;

/** The known name that was most likely meant by `name`: `messageTimeoutMs` for `message_timeout_ms`. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const written = letters(name);
  if (written.length <= MAX_SLIPS) return undefined;
  let nearest: string | undefined;
  let fewest = MAX_SLIPS + 1;
  for (const candidate of known) {
    const slips =
      written.startsWith(letters(candidate)) || letters(candidate).startsWith(written) ? 1 : Number.POSITIVE_INFINITY;
    const distance = Math.min(slips, distanceBetween(written, letters(candidate)));
    if (distance < fewest) {
      fewest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

function letters(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** How many letters to change, add or remove to get from one text to the other (Levenshtein distance). */
function distanceBetween(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > MAX_SLIPS) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (const [column, other] of [...to].entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
