// Finds the prose in a file: all of a Markdown page except code, comments and strings of JavaScript and TypeScript, comments
// of other files. The result has the length of the file, and blanks for everything else, so offsets stay the same.
import { extname } from "node:path";
import { parseSync, Visitor } from "oxc-parser";

/** The extensions of files that have prose. */
export const EXTENSIONS = [".md", ".ts", ".mjs", ".js", ".yaml", ".yml", ".proto"];

/**
 * @param {string} path
 * @param {string} text
 * @returns {string}
 */
export function proseOf(path, text) {
  switch (extname(path)) {
    case ".md":
      return markdownProse(text);
    case ".yaml":
    case ".yml":
      return text.replaceAll(/^ *#/gm, blank);
    case ".proto":
      return onlyMatches(text, /\/\/.*$/gm).replaceAll("//", "  ");
    default:
      return scriptProse(path, text);
  }
}

/** @param {string} text */
function markdownProse(text) {
  return (
    text
      .replaceAll(/^( *)(```+)[\s\S]*?^\1\2$/gm, blank)
      .replaceAll(/<!--[\s\S]*?-->/g, blank)
      .replaceAll(/`[^`\n]*`/g, blank)
      .replaceAll(/\]\([^)\s]*\)/g, blank)
      // Names of tests, which are checked where the test is.
      .replaceAll(/\[[^\]]+: [^\]]+\]/g, blank)
  );
}

/**
 * Comments and strings, but not the paths that a module imports.
 *
 * @param {string} path
 * @param {string} text
 */
function scriptProse(path, text) {
  const { program, comments } = parseSync(path, text);
  /** @type {[start: number, end: number][]} */
  const parts = comments.map(({ start, end }) => [start, end]);
  const paths = new Set();
  const ignorePath = (/** @type {{ source: object | null }} */ { source }) => paths.add(source);
  new Visitor({
    ImportDeclaration: ignorePath,
    ExportNamedDeclaration: ignorePath,
    ExportAllDeclaration: ignorePath,
    Literal: (node) => typeof node.value === "string" && !paths.has(node) && parts.push([node.start, node.end]),
    TemplateElement: ({ start, end }) => parts.push([start, end]),
  }).visit(program);
  parts.sort(([left], [right]) => left - right);
  let prose = "";
  for (const [start, end] of parts) {
    prose += blank(text.slice(prose.length, start)) + text.slice(start, end);
  }
  prose += blank(text.slice(prose.length));
  // The marks of comments, so that a phrase can go over the end of a line.
  return prose.replaceAll(/^ *(?:\/\/|\/\*\*?|\*)(?= |$)/gm, blank);
}

/**
 * @param {string} text
 * @param {RegExp} pattern
 */
function onlyMatches(text, pattern) {
  let kept = "";
  for (const { 0: match, index } of text.matchAll(pattern)) kept += blank(text.slice(kept.length, index)) + match;
  return kept + blank(text.slice(kept.length));
}

/** @param {string} text */
function blank(text) {
  return text.replaceAll(/[^\n]/g, " ");
}
