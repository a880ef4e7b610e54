import { nearestName } from "./nearest-name.ts";
import { givenIn, placeIn } from "./place-in.ts";
import { readSettingText } from "./setting-kind.ts";
import type { SettingSpec } from "./setting-spec.ts";
import { placeOf, SETTINGS, type Settings } from "./settings.ts";

const PREFIX = "EXT_PROC_";

/**
 * Variables that Kubernetes sets in every pod for a Service named `ext-proc` or `ext-proc-…`, such as
 * `EXT_PROC_PORT=tcp://10.0.0.1:9002`. They are not settings, so no setting has a name with such an ending.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]{1,64})?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** The environment variable of a flag: `--status-listen` is `EXT_PROC_STATUS_LISTEN`. */
export function variableOf(flag: string): string {
  return PREFIX + flag.toUpperCase().replaceAll("-", "_");
}

/** The values of flags by name, from parseArgs. */
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>;

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings with problems, which must prevent the start, and warnings. */
export interface ReadSettings {
  readonly settings: Settings;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Merges flags, environment variables, configuration file and defaults, in this order of priority. Checks every text;
 * the values of the file have been checked before. Returns all problems, not only the first.
 */
export function readSettings(flags: FlagValues, environment: Environment, file: Partial<Settings> = {}): ReadSettings {
  const problems: string[] = [];
  const settings: Record<string, unknown> = { envoy: {} };
  for (const [name, spec] of Object.entries(SETTINGS)) {
    const [source, text] = givenText(spec, flags, environment);
    const place = placeOf(name, spec);
    const inFile = givenIn(file, place);
    if (text === undefined && inFile !== undefined) {
      placeIn(settings, place, inFile);
      continue;
    }
    const wanted = text ?? spec.fallback;
    if (wanted === undefined) continue;
    const read = readSettingText(spec.kind, wanted);
    if ("problem" in read) problems.push(`${source}: ${read.problem}`);
    else placeIn(settings, place, read.value);
  }
  return { settings: settings as unknown as Settings, problems, warnings: unknownVariables(environment) };
}

/** The text of one setting and where it comes from. */
export function givenText(
  { flag }: Pick<SettingSpec, "flag">,
  flags: FlagValues,
  environment: Environment,
): readonly [source: string, text: string | undefined] {
  const value = flags[flag];
  if (value !== undefined) return [`--${flag}`, String(value)];
  const variable = variableOf(flag);
  return [variable, environment[variable]];
}

function unknownVariables(environment: Environment): string[] {
  const known = Object.values(SETTINGS).map(({ flag }) => variableOf(flag));
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name) && !SERVICE_LINK.test(name))
    .map((name) => {
      const nearest = nearestName(name, known);
      const wayOut = nearest === undefined ? "--help lists all" : `did you mean ${nearest}?`;
      return `${name} is not a setting of ext-proc and is ignored; ${wayOut}`;
    });
}
