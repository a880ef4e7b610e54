// Medians, and how far the rounds of one run lie apart.

/**
 * @typedef {object} Summary
 * @property {number} median
 * @property {number} least
 * @property {number} most
 */

/**
 * The middle value; between the two middle ones where their number is even. NaN of nothing.
 *
 * @param {readonly number[]} values
 * @returns {number}
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/**
 * @param {readonly number[]} values
 * @returns {Summary}
 */
export function summarize(values) {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/**
 * The median of the ratios round by round. Rounds of one number were measured side by side, so that what slows the
 * machine for a while slows both.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} references
 * @returns {number}
 */
export function medianRatio(values, references) {
  const rounds = Math.min(values.length, references.length);
  return median(values.slice(0, rounds).map((value, round) => value / Number(references[round])));
}

/**
 * The share of the median that lies between the least and the most, as ± of it: 0.05 says ±5 %.
 *
 * @param {Summary} summary
 */
export function halfSpread({ median: middle, least, most }) {
  return middle === 0 ? 0 : (most - least) / 2 / middle;
}
