/** Longest texts that are compared line by line, because the cost grows with the square of their length. */
const MAX_LINES = 2_000;

/** The differences of two texts, as lines that begin with `-` (only wanted), `+` (only found) or a blank. */
export function lineDiff(wanted: readonly string[], found: readonly string[]): string[] {
  if (wanted.length > MAX_LINES || found.length > MAX_LINES) {
    return [...wanted.map((line) => `- ${line}`), ...found.map((line) => `+ ${line}`)];
  }
  const common = commonLengths(wanted, found);
  const lines: string[] = [];
  let [at, other] = [0, 0];
  while (at < wanted.length || other < found.length) {
    if (at < wanted.length && other < found.length && wanted[at] === found[other]) {
      lines.push(`  ${wanted[at++]}`);
      other++;
    } else if (other >= found.length || (common[at + 1]?.[other] ?? 0) >= (common[at]?.[other + 1] ?? 0)) {
      if (at < wanted.length) lines.push(`- ${wanted[at++]}`);
      else lines.push(`+ ${found[other++]}`);
    } else lines.push(`+ ${found[other++]}`);
  }
  return lines;
}

/** The length of the longest common subsequence after each pair of places. */
function commonLengths(one: readonly string[], two: readonly string[]): number[][] {
  const lengths = Array.from({ length: one.length + 1 }, () => new Array<number>(two.length + 1).fill(0));
  for (let at = one.length - 1; at >= 0; at--) {
    const row = lengths[at] ?? [];
    const below = lengths[at + 1] ?? [];
    for (let other = two.length - 1; other >= 0; other--) {
      row[other] =
        one[at] === two[other] ? (below[other + 1] ?? 0) + 1 : Math.max(below[other] ?? 0, row[other + 1] ?? 0);
    }
  }
  return lengths;
}
