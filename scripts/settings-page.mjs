// `npm run docs:settings` writes docs/settings.md from the code, which must be built. `-- --check` writes nothing, and exits 1 if
// the page is not current.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PROCESSOR_KINDS } from "../dist/server/settings/config-schema.js";
import { variableOf } from "../dist/server/settings/read-settings.js";
import { describeKind } from "../dist/server/settings/setting-kind.js";
import { SETTINGS } from "../dist/server/settings/settings.js";
import { settingsPage } from "./settings/settings-page.mjs";

const page = fileURLToPath(new URL("../docs/settings.md", import.meta.url));
const text = settingsPage({ settings: SETTINGS, processorKinds: PROCESSOR_KINDS, variableOf, describeKind });
if (!process.argv.includes("--check")) {
  writeFileSync(page, text);
} else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/settings.md is not current: run npm run build && npm run docs:settings");
  process.exitCode = 1;
}
