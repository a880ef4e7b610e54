import type { parseArgs } from "node:util";
import { definitionsOf, type Processor } from "../../processor/definition.ts";
import type { OperatorOptions } from "../../processor/run-rules.ts";
import type { ServeOptions } from "../../server/serve.ts";
import type { ProcessorSettings } from "../../server/settings/config-schema.ts";
import { nearestName } from "../../server/settings/nearest-name.ts";
import { givenText, readSettings, variableOf } from "../../server/settings/read-settings.ts";
import { SETTINGS, type Settings } from "../../server/settings/settings.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { CliError, EXIT } from "../terminal/usage-error.ts";

/** The settings of a command, from flags, environment and configuration file. */
export interface CommandSettings {
  readonly settings: Settings;
  /** The settings of single processors in the file, by processor name. */
  readonly processors: Readonly<Record<string, ProcessorSettings>>;
  readonly warnings: readonly string[];
}

/** Why a command cannot start: one line for each problem, with flags and variables or with the configuration file. */
export interface CommandProblems {
  readonly problems: readonly string[];
  readonly inFile: boolean;
}

/** A flag for each setting, for parseArgs. */
export const SETTING_FLAGS = Object.fromEntries(
  Object.values(SETTINGS).map(({ flag, value }) => [flag, { type: value === "" ? "boolean" : "string" } as const]),
) satisfies NonNullable<Parameters<typeof parseArgs>[0]>["options"];

/** Reads the settings of a command. The code for configuration files is loaded only if a file is named. */
export async function commandSettings(
  flags: Readonly<Record<string, string | boolean | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<CommandSettings | CommandProblems> {
  const [, path = ""] = givenText(SETTINGS.config, flags, environment);
  const file =
    path === "" ? undefined : await (await import("../../server/settings/config-file.ts")).readConfigFile(path);
  if (file !== undefined && "problems" in file) return { problems: file.problems, inFile: true };
  const { settings, problems, warnings } = readSettings(flags, environment, file?.settings);
  if (problems.length > 0) return { problems, inFile: false };
  return { settings, processors: file?.processors ?? {}, warnings };
}

/** Prints why a command cannot start. Returns the exit code. */
export function printProblems({ problems, inFile }: CommandProblems, terminal: Terminal): number {
  for (const problem of problems) terminal.error(`ext-proc: ${problem}`);
  return inFile ? EXIT.bad : EXIT.usage;
}

/** The settings that an operator can configure for processors. */
export function operatorOptions({ settings, processors }: CommandSettings): OperatorOptions {
  const { envoy, onFault, shadow } = settings;
  return { envoy, onFault, shadow, processors };
}

/** The settings as options of `serve()`, except those that name files. */
export function serveOptions({ settings, processors }: CommandSettings): ServeOptions {
  const { onFault, shadow, decisionLogSample: sample, decisionLogAttributes, decisionLogMaxPerSecond } = settings;
  return {
    ...settings,
    onFault,
    shadow,
    processors,
    decisionLog: { sample, attributes: decisionLogAttributes, maxPerSecond: decisionLogMaxPerSecond },
    http2: {
      maxHeaderListBytes: settings.http2MaxHeaderListBytes,
      maxConnectionAgeMs: settings.http2MaxConnectionAgeMs,
      maxConnectionAgeGraceMs: settings.http2MaxConnectionAgeGraceMs,
      idleTimeoutMs: settings.http2IdleTimeoutMs,
      keepAliveIntervalMs: settings.http2KeepAliveIntervalMs,
      keepAliveTimeoutMs: settings.http2KeepAliveTimeoutMs,
      messageStallTimeoutMs: settings.http2MessageStallTimeoutMs,
      answerStallTimeoutMs: settings.http2AnswerStallTimeoutMs,
    },
  };
}

/**
 * Rejects a name under `processors` that no processor has: it is probably a typing error, and would have no effect.
 *
 * @throws {CliError} If there is such a name.
 */
export function refuseUnknownProcessors(processor: Processor, { processors }: CommandSettings): void {
  const names = definitionsOf(processor).map(({ name }) => name);
  const unknown = Object.keys(processors).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown, names);
  const wayOut = nearest === undefined ? `there are ${names.join(", ")}` : `did you mean ${nearest}?`;
  throw new CliError(`processors.${unknown}: no processor with this name is served; ${wayOut}`, EXIT.bad);
}

/** The settings as lines of `--help`. */
export function settingsHelp(): string[] {
  const lines = Object.values(SETTINGS).flatMap(({ flag, value, help, fallback, path }) => [
    `  --${flag}${value === "" ? "" : ` ${value}`}`,
    `      ${help}`,
    ...waysLines(
      `${defaultText(help, value === "" && fallback !== undefined ? "off" : fallback)}env: ${variableOf(flag)}`,
      path && `file: ${path.join(".")}`,
    ),
  ]);
  return ["Settings (env = environment variable, file = place in the configuration file):", ...lines];
}

/** The default of a setting. It is empty if the help text already describes the default. */
function defaultText(help: string, fallback: string | undefined): string {
  if (fallback !== undefined) return `default: ${fallback}; `;
  return help.includes("default") ? "" : "no default; ";
}

/** The ways to set a setting: one line, or two if one would be longer than 120 characters. */
function waysLines(ways: string, inFile: string | undefined): string[] {
  const line = `      ${ways}${inFile === undefined ? "" : `; ${inFile}`}`;
  return line.length <= 120 ? [line] : [`      ${ways};`, `      ${inFile}`];
}
