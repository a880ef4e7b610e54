import { readFile } from "node:fs/promises";
import type { core } from "zod";
import { configSchema, type Expected, expectedAt, type ProcessorSettings } from "./config-schema.ts";
import { nearestName } from "./nearest-name.ts";
import { givenIn, placeIn } from "./place-in.ts";
import { placeOf, SETTINGS, type Settings } from "./settings.ts";
import { firstProblems, parseYaml, type YamlSource } from "./yaml-source.ts";

/**
 * The values of a configuration file. Settings that it does not have come from flags, environment variables or
 * defaults.
 */
export interface ConfigFile {
  readonly settings: Partial<Settings>;
  readonly processors: Readonly<Record<string, ProcessorSettings>>;
}

/** Largest file. No configuration that a person wrote is longer. */
const MAX_CONFIG_CHARACTERS = 256 * 1024;
/** Reads and checks a configuration file. Each problem is one line with its place: `FILE:LINE:COLUMN`. */
export async function readConfigFile(path: string): Promise<ConfigFile | { readonly problems: readonly string[] }> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    return { problems: [`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`] };
  }
  return parseConfig(text, path);
}

/** Checks the text of a configuration file. Problems begin with `name`. */
export function parseConfig(text: string, name: string): ConfigFile | { readonly problems: readonly string[] } {
  if (text.length > MAX_CONFIG_CHARACTERS) {
    return { problems: [`${name}: expected at most ${MAX_CONFIG_CHARACTERS} characters, got ${text.length}`] };
  }
  const source = parseYaml(text, name);
  if ("problems" in source) return source;
  // An empty file sets nothing.
  const { data, error } = configSchema.safeParse(source.value ?? {});
  const unusable = unusableName(source);
  if (error === undefined && unusable === undefined) {
    const { processors = {}, ...values } = data;
    return { settings: settingsOf(values), processors: processors as ConfigFile["processors"] };
  }
  // One value can break several rules with the same message.
  const explained = (error?.issues ?? []).flatMap((issue) => explainIssue(issue, source));
  const problems = [...new Set(unusable === undefined ? explained : [unusable, ...explained])];
  // Sorted by line and column, with which each problem begins.
  problems.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  return { problems: firstProblems(problems, name) };
}

/** Reports `__proto__`, the only name that the schema of a record drops silently. */
function unusableName(source: YamlSource): string | undefined {
  const path = ["processors", "__proto__"];
  const names = source.at(["processors"]);
  if (typeof names !== "object" || names === null || !Object.hasOwn(names, "__proto__")) return undefined;
  return `${source.place(path, "key")}: ${path.join(".")}: no processor can have this name`;
}

function settingsOf(values: Readonly<Record<string, unknown>>): Partial<Settings> {
  const settings: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(SETTINGS)) {
    const value = spec.path && givenIn(values, spec.path);
    if (value !== undefined) placeIn(settings, placeOf(name, spec), value);
  }
  return settings as Partial<Settings>;
}

function explainIssue(issue: core.$ZodIssue, source: YamlSource): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return `${source.place(path, "key")}: ${path.join(".")}: no such setting${wayOut(key, expectedAt(issue.path))}`;
    });
  }
  const { path } = issue;
  const expected = expectedAt(path);
  const rule = "value" in expected ? expected.value : sectionRule(path, expected.names);
  const where = path.length === 0 ? "the file" : path.join(".");
  return [`${source.place(path, "value")}: ${where}: expected ${rule}, got ${describe(source.at(path))}`];
}

function sectionRule(path: readonly PropertyKey[], names: readonly string[]): string {
  if (path.length === 1 && path[0] === "processors") return "a map with the names of processors";
  return `a map with ${names.join(", ")}`;
}

function wayOut(key: string, expected: Expected): string {
  const names = "names" in expected ? expected.names : [];
  const nearest = nearestName(key, names);
  return nearest === undefined ? `; known names are ${names.join(", ")}` : `; did you mean ${nearest}?`;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string")
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
  return typeof value === "boolean" ? String(value) : `the number ${String(value)}`;
}
