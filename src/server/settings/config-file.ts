import { readFile } from "node:fs/promises";
import type { core } from "zod";
import { configSchema, expectedAt, type ProcessorSettings } from "./config-schema.ts";
import { nearestName } from "./nearest-name.ts";
import { givenIn, placeIn } from "./place-in.ts";
import { placeOf, SETTINGS, type Settings } from "./settings.ts";
import { firstProblems, parseYaml, type YamlSource } from "./yaml-source.ts";

/** What a configuration file says; what is missing is left to the environment's and the flags' defaults. */
export interface ConfigFile {
  readonly settings: Partial<Settings>;
  readonly processors: Readonly<Record<string, ProcessorSettings>>;
}

/** Larger files are none that a person wrote. */
const MAX_CONFIG_CHARACTERS = 256 * 1024;
/** Reads and checks a configuration file. Problems are lines for a person, each with its place: `FILE:LINE:COLUMN`. */
export async function readConfigFile(path: string): Promise<ConfigFile | { readonly problems: readonly string[] }> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    return { problems: [`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`] };
  }
  return parseConfig(text, path);
}

/** The same for a text; `name` is what problems call it. */
export function parseConfig(text: string, name: string): ConfigFile | { readonly problems: readonly string[] } {
  if (text.length > MAX_CONFIG_CHARACTERS) {
    return { problems: [`${name}: has ${text.length} characters, at most ${MAX_CONFIG_CHARACTERS} are allowed`] };
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
  // A value may break several rules of one line.
  const explained = (error?.issues ?? []).flatMap((issue) => explainIssue(issue, source));
  const problems = [...new Set(unusable === undefined ? explained : [unusable, ...explained])];
  // In the order of the file: each begins with its line and column.
  problems.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  return { problems: firstProblems(problems, name) };
}

/** The schema of a record drops this one name without a word. */
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
  const rule = typeof expected === "string" ? expected : sectionRule(path, expected);
  const where = path.length === 0 ? "the file" : path.join(".");
  return [`${source.place(path, "value")}: ${where}: is ${describe(source.at(path))}, must be ${rule}`];
}

function sectionRule(path: readonly PropertyKey[], names: readonly string[]): string {
  if (path.length === 1 && path[0] === "processors") return "a map with the names of processors";
  return `a map with ${names.join(", ")}`;
}

function wayOut(key: string, known: string | readonly string[]): string {
  const names = typeof known === "string" ? [] : known;
  const nearest = nearestName(key, names);
  return nearest === undefined ? `; there are ${names.join(", ")}` : `; did you mean ${nearest}?`;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string")
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
  return typeof value === "boolean" ? String(value) : `the number ${String(value)}`;
}
