// The results as a picture: a panel of bars for each scenario that has a cost per stream, request or message.

/**
 * @typedef {import("./results.mjs").Results} Results
 *
 * @typedef {object} Panel
 * @property {string} title
 * @property {string} unit
 * @property {readonly { readonly peer: string, readonly value: number }[]} bars
 */

const PANELS = [
  { scenario: "headers-50", title: "Server CPU per header stream" },
  { scenario: "envoy", title: "Server CPU per request behind Envoy" },
  { scenario: "bodies", title: "Server CPU per 64 KiB body chunk" },
];
const OURS = "ext-proc";
const WIDTH = 720;
const LABEL_WIDTH = 130;
const VALUE_WIDTH = 90;
const BAR_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const ROW_HEIGHT = 26;
const BAR_HEIGHT = 16;
const HEAD_HEIGHT = 40;
/** A bar this many times the median is cut, or it would leave nothing to see of the others. */
const LONGEST_OF_MEDIAN = 4;

/**
 * The same numbers give the same bytes, so that a chart in version control changes only with them.
 *
 * @param {Results} results
 * @returns {string} An SVG document.
 */
export function drawChart(results) {
  const panels = PANELS.flatMap(({ scenario, title }) => {
    const result = results.scenarios.find(({ name }) => name === scenario);
    if (result === undefined || result.peers.length === 0) return [];
    const bars = result.peers.flatMap(({ peer, metrics }) => {
      const value = metrics.cpuUs?.median;
      return value === undefined || Number.isNaN(value) ? [] : [{ peer, value }];
    });
    return [{ title, unit: "µs", bars: bars.sort((a, b) => a.value - b.value) }];
  });
  const heights = panels.map(({ bars }) => HEAD_HEIGHT + bars.length * ROW_HEIGHT);
  const height = heights.reduce((sum, next) => sum + next, 0) + 34;
  let top = 0;
  const drawn = panels.map((panel, index) => {
    const text = drawPanel(panel, top);
    top += heights[index] ?? 0;
    return text;
  });
  const caption = `${results.date.slice(0, 10)}, ${results.machine.cores} cores; less is better; bars that end in a gap are cut`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>Server CPU by server, ${escapeXml(results.date.slice(0, 10))}</title>`,
    STYLE,
    ...drawn,
    `<text class="caption" x="0" y="${height - 8}">${escapeXml(caption)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}

// Readable on light and on dark pages.
const STYLE = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 15px; }
.caption { font-size: 11px; fill: #57606a; }
.bar { fill: #9aa4af; }
.ours { fill: #1f7a5c; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .caption { fill: #9198a1; }
  .bar { fill: #59636e; }
  .ours { fill: #3fb68b; }
}
</style>`;

/**
 * @param {Panel} panel
 * @param {number} top
 */
function drawPanel({ title, unit, bars }, top) {
  const longest = scaleOf(bars.map(({ value }) => value));
  const rows = bars.flatMap(({ peer, value }, index) => {
    const y = top + HEAD_HEIGHT + index * ROW_HEIGHT;
    const isCut = value > longest;
    const width = Math.max(1, (Math.min(value, longest) / longest) * BAR_WIDTH);
    const kind = peer === OURS ? "bar ours" : "bar";
    const text = y + BAR_HEIGHT - 3;
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${text}" text-anchor="end">${escapeXml(peer)}</text>`,
      ...(isCut ? cutBar(kind, y) : [bar(kind, LABEL_WIDTH, y, width)]),
      `<text x="${(LABEL_WIDTH + width + 8).toFixed(1)}" y="${text}">${value.toFixed(1)} ${unit}</text>`,
    ];
  });
  return [`<text class="title" x="0" y="${top + 24}">${escapeXml(title)}</text>`, ...rows].join("\n");
}

/**
 * @param {string} kind
 * @param {number} x
 * @param {number} y
 * @param {number} width
 */
function bar(kind, x, y, width) {
  return `<rect class="${kind}" x="${x}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`;
}

/**
 * A bar with a gap near its end.
 *
 * @param {string} kind
 * @param {number} y
 */
function cutBar(kind, y) {
  return [bar(kind, LABEL_WIDTH, y, BAR_WIDTH - 26), bar(kind, LABEL_WIDTH + BAR_WIDTH - 18, y, 18)];
}

/** @param {readonly number[]} values Ascending. */
function scaleOf(values) {
  const middle = values[Math.floor((values.length - 1) / 2)] ?? 1;
  const shown = values.filter((value) => value <= middle * LONGEST_OF_MEDIAN);
  return shown.at(-1) ?? 1;
}

/** @param {string} text */
function escapeXml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
