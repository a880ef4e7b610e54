// The list of folders in docs/architecture.md, made of the table that the lint reads.

/** @typedef {import("./rules.mjs").Folders} Folders */

const BEGIN = "<!-- folders: npm run docs:folders -->";
const END = "<!-- end of folders -->";

/**
 * A document with the list of folders between its marks.
 *
 * @param {string} document
 * @param {Folders} folders
 */
export function withFolderList(document, folders) {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the document must have ${BEGIN} and ${END}`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${folderList(folders)}\n\n${document.slice(end)}`;
}

/** @param {Folders} folders */
function folderList(folders) {
  return Object.entries(folders)
    .map(([name, { holds, imports, packages = [] }]) => {
      const all = [...imports, ...packages].map((imported) => `\`${imported}\``);
      return `- \`src/${name}\`: ${holds}\n  ${all.length === 0 ? "Imports nothing" : `Imports ${all.join(", ")}`}.`;
    })
    .join("\n");
}
