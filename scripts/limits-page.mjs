// `npm run docs:limits` writes docs/limits.md from the built code. `-- --check` writes nothing, and exits with 1 if the page is not
// current.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_HTTP2_LIMITS } from "../dist/http2/limits.js";
import { DEFAULT_MEMORY_CAPS } from "../dist/memory/memory-account.js";
import { DEFAULT_MAX_BYTES } from "../dist/processor/body-handler.js";
import { MAX_WAITING_BYTES } from "../dist/server/log/log-output.js";
import { SETTINGS } from "../dist/server/settings/settings.js";
import { MAX_MESSAGE_HEADERS } from "../dist/wire/message-limits.js";
import { limitsPage } from "./limits/limits-page.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = join(root, "docs/limits.md");
const text = limitsPage({
  settings: SETTINGS,
  caps: DEFAULT_MEMORY_CAPS,
  http2: { ...DEFAULT_HTTP2_LIMITS },
  http2Source: readFileSync(join(root, "src/http2/limits.ts"), "utf8"),
  deployment: readFileSync(join(root, "deploy/ext.yaml"), "utf8"),
  logBytes: MAX_WAITING_BYTES,
  maxBodyBytes: DEFAULT_MAX_BYTES,
  maxHeaders: MAX_MESSAGE_HEADERS,
});
if (!process.argv.includes("--check")) {
  writeFileSync(page, text);
} else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/limits.md is not current: run npm run build && npm run docs:limits");
  process.exitCode = 1;
}
