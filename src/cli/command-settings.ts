import type { parseArgs } from "node:util";
import type { ProcessorSettings } from "../server/config-schema.ts";
import { givenText, readSettings, variableOf } from "../server/read-settings.ts";
import { SETTINGS, type Settings } from "../server/settings.ts";

/** What a command was told by flags, environment and configuration file. */
export interface CommandSettings {
  readonly settings: Settings;
  /** What the file says of single processors, by their names. */
  readonly processors: Readonly<Record<string, ProcessorSettings>>;
  readonly warnings: readonly string[];
}

/** Why a command cannot begin: lines about its flags and variables, or about the file that they name. */
export interface CommandProblems {
  readonly problems: readonly string[];
  readonly inFile: boolean;
}

/** A flag for each setting, for parseArgs. */
export const SETTING_FLAGS = Object.fromEntries(
  Object.values(SETTINGS).map(({ flag, value }) => [flag, { type: value === "" ? "boolean" : "string" } as const]),
) satisfies NonNullable<Parameters<typeof parseArgs>[0]>["options"];

/** Reads the settings of a command; the configuration file is loaded where one is named, and only then. */
export async function commandSettings(
  flags: Readonly<Record<string, string | boolean | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<CommandSettings | CommandProblems> {
  const [, path = ""] = givenText(SETTINGS.config, flags, environment);
  const file = path === "" ? undefined : await (await import("../server/config-file.ts")).readConfigFile(path);
  if (file !== undefined && "problems" in file) return { problems: file.problems, inFile: true };
  const { settings, problems, warnings } = readSettings(flags, environment, file?.settings);
  if (problems.length > 0) return { problems, inFile: false };
  return { settings, processors: file?.processors ?? {}, warnings };
}

/** The settings as lines of `--help`. */
export function settingsHelp(): string[] {
  return Object.values(SETTINGS).flatMap(({ flag, value, help, fallback, path }) => [
    `  --${flag}${value === "" ? "" : ` ${value}`}`,
    `      ${help}`,
    `      ${[
      value === "" ? "off by default" : fallback === undefined ? "unset by default" : `default ${fallback}`,
      `or ${variableOf(flag)}`,
      ...(path === undefined ? [] : [`or ${path.join(".")} in the file`]),
    ].join("; ")}`,
  ]);
}
