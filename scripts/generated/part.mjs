/**
 * A document with another text between the two marks of a generated part, `<!-- NAME: COMMAND -->` and `<!-- end of NAME -->`.
 *
 * @param {string} document
 * @param {string} name
 * @param {string} text
 */
export function withGeneratedPart(document, name, text) {
  const begin = new RegExp(`<!-- ${name}: [^>]* -->`).exec(document);
  const end = document.indexOf(`<!-- end of ${name} -->`);
  if (begin === null || end < begin.index)
    throw new Error(`the document must have <!-- ${name}: … --> and <!-- end of ${name} -->`);
  return `${document.slice(0, begin.index + begin[0].length)}\n\n${text}\n\n${document.slice(end)}`;
}

/**
 * A Markdown table whose columns are as wide as their widest cell.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function markdownTable(head, rows) {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => (row[at] ?? "").length)));
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
