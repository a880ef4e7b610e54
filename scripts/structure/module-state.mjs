// Finds the variables of a module that its functions change. All calls in the process share them, so two tests or two
// servers can disturb each other through them.

/**
 * @typedef {object} ModuleState
 * @property {string} name
 * @property {boolean} hasReason True if the comment directly above begins with `Module state:`.
 */

/** Folders whose files may have state, for speed. Each variable has a comment that begins with `Module state:`. */
export const STATEFUL_FOLDERS = ["http2", "wire"];

/**
 * Other files that have state, and why: it belongs to the process, and not to a server or a transaction.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const STATEFUL_FILES = {
  "src/bodies/coding/coding-slots.ts": "the process has one pool of threads for zlib",
  "src/bodies/json/json-node.ts": "memory for one number, which is written and read in one expression",
  "src/bodies/split/held-bytes.ts": "the memory account of the code that runs now",
  "src/cli/start/own-package.ts": "Node cannot remove a hook of its module loader",
  "src/server/log/log-output.ts": "the process has one standard output",
  "src/simulation/unreturned-effects.ts":
    "one AsyncLocalStorage for all simulations, because each one slows all promises",
  "src/text/charset.ts": "the table of a charset is the same everywhere",
};

const DECLARATION = /^(?:export )?(let|const) (\w+)/;
const REASON = /^(?:\/\*\*|\/\/|\*) Module state: /;
const CHANGING_METHODS = "add|clear|copyWithin|delete|fill|pop|push|reverse|set|shift|sort|splice|unshift";

/**
 * The state of a module: each `let`, and each `const` that a function of the module changes. Statements that fill a table
 * while the module is loaded do not count.
 *
 * @param {string} text The source of the module, as Biome formats it.
 * @returns {readonly ModuleState[]}
 */
export function moduleState(text) {
  const lines = text.split("\n");
  const inFunctions = linesInFunctions(lines).join("\n");
  return lines.flatMap((line, at) => {
    const [, kind, name] = DECLARATION.exec(line) ?? [];
    if (name === undefined || (kind === "const" && !isChanged(name, inFunctions))) return [];
    return [{ name, hasReason: REASON.test(firstCommentLine(lines, at)) }];
  });
}

/**
 * @param {string} name
 * @param {string} code
 */
function isChanged(name, code) {
  const element = `(?<![\\w.#])${name}(?:\\??\\.\\w+|\\[[^\\]]+\\])`;
  const assigned = `${element}+(?: (?:[-+*/%&|^]|\\*\\*|<<|>>>?|&&|\\|\\||\\?\\?)?= |\\+\\+|--)`;
  const called = `(?<![\\w.#])${name}(?:\\??\\.\\w+|\\[[^\\]]+\\])*\\.(?:${CHANGING_METHODS})\\(`;
  return new RegExp(`${assigned}|${called}`).test(code);
}

/**
 * Lines inside functions and classes: those of a top-level statement that is not a loop or a condition.
 *
 * @param {readonly string[]} lines
 */
function linesInFunctions(lines) {
  let isFunction = false;
  return lines.filter((line) => {
    if (/^[^\s})\]]/.test(line))
      isFunction = /^(?:export )?(?:default )?(?:async )?(?:abstract )?(?:function|class|const)\b/.test(line);
    return isFunction && !DECLARATION.test(line);
  });
}

/**
 * The first line of the comment that ends directly above a line; empty if there is no comment.
 *
 * @param {readonly string[]} lines
 * @param {number} at
 */
function firstCommentLine(lines, at) {
  let from = at;
  while (from > 0 && /^(?: \*|\/\*\*|\/\/)/.test(lines[from - 1] ?? "")) from--;
  const [first = "", second = ""] = lines.slice(from, at);
  return first === "/**" ? second.trim() : first;
}
