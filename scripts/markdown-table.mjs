/**
 * A table in Markdown whose columns are aligned. A `|` in a cell is escaped.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function markdownTable(head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, at) => Math.max(...lines.map((cells) => (cells[at] ?? "").length)));
  const [first = "", ...others] = lines.map(
    (cells) => `| ${widths.map((width, at) => (cells[at] ?? "").padEnd(width)).join(" | ")} |`,
  );
  return [first, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...others].join("\n");
}
