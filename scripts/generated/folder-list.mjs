// The list of folders in docs/architecture.md, made of the table that the lint reads.
import { withGeneratedPart } from "./part.mjs";

/** @typedef {import("../structure/rules.mjs").Folders} Folders */

/**
 * A document with the list of folders in its generated part.
 *
 * @param {string} document
 * @param {Folders} folders
 */
export function withFolderList(document, folders) {
  const list = Object.entries(folders).map(([name, { holds, imports, packages = [] }]) => {
    const all = [...imports, ...packages].map((imported) => `\`${imported}\``);
    return `- \`src/${name}\`: ${holds}\n  ${all.length === 0 ? "Imports nothing" : `Imports ${all.join(", ")}`}.`;
  });
  return withGeneratedPart(document, "folders", list.join("\n"));
}
