// `npm run docs:folders` writes the list of folders in docs/architecture.md from scripts/structure/folders.mjs.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FOLDERS } from "./structure/folders.mjs";
import { withFolderList } from "./structure/list.mjs";

const page = fileURLToPath(new URL("../docs/architecture.md", import.meta.url));
writeFileSync(page, withFolderList(readFileSync(page, "utf8"), FOLDERS));
