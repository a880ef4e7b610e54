import { expect, test } from "vitest";
import { limitsPage } from "../../scripts/limits/limits-page.mjs";
import { DEFAULT_HTTP2_LIMITS } from "../../src/http2/limits.ts";
import { DEFAULT_MEMORY_CAPS, MEMORY_KINDS } from "../../src/memory/memory-account.ts";
import { DEFAULT_MAX_BYTES } from "../../src/processor/body-handler.ts";
import { FAULT_CODES } from "../../src/protocol/faults.ts";
import { MAX_WAITING_BYTES } from "../../src/server/log/log-output.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { MAX_MESSAGE_HEADERS } from "../../src/wire/message-limits.ts";
import { readDocument, tableRows } from "./markdown.ts";

const document = readDocument("docs/limits.md");
const sources = {
  settings: SETTINGS,
  caps: DEFAULT_MEMORY_CAPS,
  http2: { ...DEFAULT_HTTP2_LIMITS },
  http2Source: readDocument("src/http2/limits.ts"),
  deployment: readDocument("deploy/ext.yaml"),
  logBytes: MAX_WAITING_BYTES,
  maxBodyBytes: DEFAULT_MAX_BYTES,
  maxHeaders: MAX_MESSAGE_HEADERS,
};

test("docs/limits.md is what npm run docs:limits writes", () => {
  expect(document).toBe(limitsPage(sources));
});

test("docs/limits.md has a row for each kind of memory, with a flag and fault codes that exist", () => {
  const rows = tableRows(document).filter(([kind]) => MEMORY_KINDS.some((name) => kind === `\`${name}\``));
  expect(rows.map(([kind]) => kind)).toEqual([...MEMORY_KINDS, ...MEMORY_KINDS].map((name) => `\`${name}\``));
  const flags = Object.values(SETTINGS).map(({ flag }) => `--${flag}`);
  for (const [, , , flag = ""] of rows.slice(0, MEMORY_KINDS.length)) expect(flags).toContain(flag.replaceAll("`", ""));
  for (const [, code = ""] of document.matchAll(/fault `([a-z_]+)`/g)) expect(FAULT_CODES).toContain(code);
});

test("writing docs/limits.md fails if the caps do not fit the memory limit of the Deployment", () => {
  expect(() => limitsPage({ ...sources, caps: { ...DEFAULT_MEMORY_CAPS, bodies: 256 << 20 } })).toThrow(
    "deploy/ext.yaml",
  );
  expect(() => limitsPage({ ...sources, caps: { ...DEFAULT_MEMORY_CAPS, files: 1 } })).toThrow("files");
});
