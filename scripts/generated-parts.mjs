// `npm run docs:parts` writes the generated parts of docs/architecture.md and docs/failure.md. The code must be built.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FAULTS } from "../dist/protocol/faults.js";
import { withFaultOutcomes, withFaultStatuses } from "./generated/fault-tables.mjs";
import { withFolderList } from "./generated/folder-list.mjs";
import { FOLDERS } from "./structure/folders.mjs";

/**
 * @param {string} path
 * @param {(document: string) => string} change
 */
function rewrite(path, change) {
  const page = fileURLToPath(new URL(`../${path}`, import.meta.url));
  writeFileSync(page, change(readFileSync(page, "utf8")));
}

rewrite("docs/architecture.md", (document) => withFaultStatuses(withFolderList(document, FOLDERS), FAULTS));
rewrite("docs/failure.md", (document) => withFaultOutcomes(document, FAULTS));
