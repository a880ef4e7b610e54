import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the project, with a slash at its end. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** A fenced block of code, or of what a command prints. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** True if nothing but blank lines stands between this block and the one before. */
  readonly follows: boolean;
}

/** The text of a document, by its path in the project. */
export function readDocument(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Every document of the project, by its path. */
export function documents(folder = ""): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(?:node_modules|dist|\.git)$/.test(entry.name) ? [] : documents(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** The fenced blocks of a document, in order. */
export function codeBlocks(document: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let end = 0;
  for (const match of document.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
    const [whole, language = "", text = ""] = match;
    const follows = blocks.length > 0 && document.slice(end, match.index).trim() === "";
    blocks.push({ language, text, follows });
    end = match.index + whole.length;
  }
  return blocks;
}

/** The rows of every table of a document, as the texts of their cells. */
export function tableRows(document: string): string[][] {
  const lines = document.split("\n").filter((line) => line.startsWith("|"));
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\\|", "|")),
  );
}

/** The document without its code, in fences and in lines. */
export function prose(document: string): string {
  return document.replaceAll(/^```\w*\n.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "`code`");
}

/** The names under which a document's headings, and what it names itself, can be linked to. */
export function anchors(document: string): string[] {
  const text = document.replaceAll(/^```\w*\n.*?^```$/gms, "");
  const headings = [...text.matchAll(/^#+ +(.*)$/gm)].map(([, heading = ""]) => {
    const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "");
    return words.trim().replaceAll(/\s/g, "-");
  });
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id)];
}

/** Whether a path in the project is there. */
export function isInProject(path: string): boolean {
  return existsSync(join(root, path));
}
