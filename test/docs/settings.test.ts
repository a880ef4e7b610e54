import { describe, expect, test } from "vitest";
import { settingsPage } from "../../scripts/settings/settings-page.mjs";
import { parseConfig } from "../../src/server/settings/config-file.ts";
import { PROCESSOR_KINDS } from "../../src/server/settings/config-schema.ts";
import { variableOf } from "../../src/server/settings/read-settings.ts";
import { describeKind } from "../../src/server/settings/setting-kind.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { codeBlocks, readDocument, tableRows } from "./markdown.ts";

const document = readDocument("docs/settings.md");
const sources = { settings: SETTINGS, processorKinds: PROCESSOR_KINDS, variableOf, describeKind };

describe("docs/settings.md", () => {
  test("the page is what npm run docs:settings writes", () => {
    expect(document).toBe(settingsPage(sources));
  });

  test("the page has one row for each flag", () => {
    const flags = tableRows(document).flatMap(([first = ""]) => /^`--([a-z0-9-]+)[ `]/.exec(first)?.[1] ?? []);
    expect(flags.sort()).toEqual(
      Object.values(SETTINGS)
        .map(({ flag }) => flag)
        .sort(),
    );
  });

  test("the configuration file on the page has no problems", () => {
    const file = codeBlocks(document).find(({ language }) => language === "yaml");
    expect(parseConfig(file?.text ?? "", "settings.md")).toMatchObject({
      processors: { greeter: { timeoutMs: 1000 } },
    });
  });

  test("writing the page fails while a setting has no group", () => {
    const settings = { ...SETTINGS, surprise: SETTINGS.listen };
    expect(() => settingsPage({ ...sources, settings })).toThrow("surprise");
  });

  test("one rule gives the place of every setting in the configuration file", () => {
    for (const { flag, path } of Object.values(SETTINGS).filter(({ path }) => path !== undefined)) {
      const words = path?.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
      expect(words?.join("-")).toBe(flag);
    }
  });
});
