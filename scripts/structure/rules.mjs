// The rules of how src is cut into folders and files, each as a function that gives a line for each breach.
import { STATEFUL_FILES, STATEFUL_FOLDERS } from "./module-state.mjs";
import { folderOf } from "./sources.mjs";

/**
 * @typedef {import("./folders.mjs").Folder} Folder
 * @typedef {import("./sources.mjs").Source} Source
 * @typedef {Readonly<Record<string, Folder>>} Folders
 */

const MAX_LINES = 400;
const MAX_FILES = 16;
/** Its files are named after the sections of RFC 9113 and RFC 7541, so one list of them is easy to search. */
const LARGE_FOLDERS = ["http2"];
const TABLE = "scripts/structure/folders.mjs";

/**
 * @param {readonly Source[]} sources
 * @param {Folders} folders
 * @returns {readonly string[]} A line for each breach.
 */
export function structureProblems(sources, folders) {
  return [
    ...tableProblems(folders),
    ...importProblems(sources, folders),
    ...sameNames(sources),
    ...sizeProblems(sources),
    ...stateProblems(sources),
  ];
}

/**
 * A table in which each folder comes after those that it imports has no circle.
 *
 * @param {Folders} folders
 */
function tableProblems(folders) {
  const names = Object.keys(folders);
  return names.flatMap((name, at) =>
    (folders[name]?.imports ?? [])
      .filter((imported) => !names.slice(0, at).includes(imported))
      .map((imported) =>
        names.includes(imported)
          ? `${TABLE}: src/${name} imports src/${imported}, which comes after it: a folder comes after those that it imports, so that folders have no import cycle`
          : `${TABLE}: src/${name} imports src/${imported}, which is not in the table`,
      ),
  );
}

/**
 * @param {readonly Source[]} sources
 * @param {Folders} folders
 */
function importProblems(sources, folders) {
  const problems = [];
  const shown = (/** @type {string} */ name) => (Object.hasOwn(folders, name) ? `src/${name}` : name);
  /** @type {Map<string, Set<string>>} */
  const used = new Map(Object.keys(folders).map((name) => [name, new Set()]));
  for (const { path, folder, imports } of sources) {
    if (folder === "") continue;
    const known = folders[folder];
    if (known === undefined) {
      problems.push(`${path}: src/${folder} is not in ${TABLE}: add it, with what it holds and imports`);
      continue;
    }
    const allowed = [...known.imports, ...(known.packages ?? [])];
    for (const imported of imports.map(roomOf)) {
      if (imported === folder) continue;
      used.get(folder)?.add(imported);
      if (!allowed.includes(imported))
        problems.push(
          `${path}: imports ${shown(imported)}. src/${folder} may import ${allowed.map(shown).join(", ")} (${TABLE})`,
        );
    }
  }
  for (const [name, imported] of used)
    for (const allowed of [...(folders[name]?.imports ?? []), ...(folders[name]?.packages ?? [])])
      if (!imported.has(allowed))
        problems.push(`${TABLE}: src/${name} may import ${shown(allowed)}, and no file does: remove it`);
  return problems;
}

/**
 * The folder of an imported file, `gen` for generated code, or the name of a package.
 *
 * @param {string} imported
 */
function roomOf(imported) {
  if (imported.startsWith("gen/")) return "gen";
  return imported.startsWith("src/") ? folderOf(imported) : imported;
}

/**
 * One name for two types makes a reader open both files to know which one is meant.
 *
 * @param {readonly Source[]} sources
 */
function sameNames(sources) {
  /** @type {Map<string, string[]>} */
  const places = new Map();
  for (const { path, types } of sources)
    for (const name of types) places.set(name, [...(places.get(name) ?? []), path]);
  return [...places]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${paths.join(" and ")} export a type ${name}: rename one of them`);
}

/** @param {readonly Source[]} sources */
function sizeProblems(sources) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { folder } of sources) counts.set(folder, (counts.get(folder) ?? 0) + 1);
  const long = sources.filter(({ lines }) => lines > MAX_LINES);
  const large = [...counts].filter(([name, count]) => count > MAX_FILES && !LARGE_FOLDERS.includes(name));
  return [
    ...long.map(({ path, lines }) => `${path}: has ${lines} lines, must have ${MAX_LINES} at most`),
    ...large.map(
      ([name, count]) => `src/${name}: has ${count} files, must have ${MAX_FILES} at most: make folders of it`,
    ),
  ];
}

/**
 * State of a module is shared by everything in the process, so it needs a reason.
 *
 * @param {readonly Source[]} sources
 */
function stateProblems(sources) {
  const table = "scripts/structure/module-state.mjs";
  const problems = sources.flatMap(({ path, folder, state }) => {
    if (Object.hasOwn(STATEFUL_FILES, path)) return [];
    if (STATEFUL_FOLDERS.includes(folder))
      return state
        .filter(({ hasReason }) => !hasReason)
        .map(
          ({ name }) => `${path}: ${name} changes: write "Module state:" and the reason in a comment directly above it`,
        );
    return state.map(
      ({ name }) =>
        `${path}: ${name} changes, and all of the process shares it: keep it in an object that its users pass on, or give ${table} a reason`,
    );
  });
  const stateless = Object.keys(STATEFUL_FILES).filter(
    (file) => !sources.some(({ path, state }) => path === file && state.length > 0),
  );
  return [...problems, ...stateless.map((file) => `${table}: ${file} has no state: remove it`)];
}
