// Finds the prose in a file: Markdown except code, comments, and strings of JavaScript and TypeScript with at least two words.
// The result is as long as the file, with blanks for everything else, so offsets stay the same.
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
      return yamlProse(text);
    case ".proto":
      return commentProse(onlyMatches(text, /\/\/.*$/gm));
    default:
      return scriptProse(path, text);
  }
}

/** @param {string} text */
function markdownProse(text) {
  return (
    withoutCode(text.replaceAll(/^( *)(```+)[\s\S]*?^\1\2$/gm, blank))
      .replaceAll(/<!--[\s\S]*?-->/g, blank)
      .replaceAll(/\]\([^)\s]*\)/g, blank)
      // Cited names of tests, which are checked in the test's own file.
      .replaceAll(/\[[^\]]+: [^\]]+\]/g, blank)
  );
}

/**
 * Comments, and the names of scenarios.
 *
 * @param {string} text
 */
function yamlProse(text) {
  return commentProse(onlyMatches(text, /(?<=^|\s)#.*$|(?<=^ *- name: ).*$/gm).replaceAll(/#/g, " "));
}

/**
 * @param {string} path
 * @param {string} text
 */
function scriptProse(path, text) {
  const { program, comments } = parseSync(path, text);
  /** @type {{ start: number, end: number, isComment: boolean }[]} */
  const parts = comments.map(({ start, end }) => ({ start, end, isComment: true }));
  const add = (/** @type {number} */ start, /** @type {number} */ end) => {
    if (/\p{L}{2,}\s+\p{L}{2,}/u.test(text.slice(start, end))) parts.push({ start, end, isComment: false });
  };
  new Visitor({
    Literal: (node) => typeof node.value === "string" && add(node.start, node.end),
    TemplateElement: ({ start, end }) => add(start, end),
  }).visit(program);
  parts.sort((left, right) => left.start - right.start);
  let prose = "";
  for (const { start, end, isComment } of parts) {
    const part = text.slice(start, end);
    prose +=
      blank(text.slice(prose.length, start)) + (isComment ? commentProse(part) : part.replaceAll(/\\[nrt]/g, blank));
  }
  return prose + blank(text.slice(prose.length));
}

/**
 * A comment without its marks, so that a phrase can go over the end of a line, and without code.
 *
 * @param {string} comment
 */
function commentProse(comment) {
  return withoutCode(comment.replaceAll(/^ *(?:\/\/+|\/\*\*?|\*\/?)/gm, blank))
    .replaceAll(/@example[\s\S]*$/g, blank)
    .replaceAll(/@\w+(?: \{[^\n]*\})?(?: \[?[\w.]+\]?)?|\{@link [^}]*\}/g, blank);
}

/** @param {string} text */
function withoutCode(text) {
  return text.replaceAll(/`[^`]*`/g, blank).replaceAll(/https?:\/\/\S+/g, blank);
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
