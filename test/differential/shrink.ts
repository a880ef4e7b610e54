import type { Scenario, ScenarioMessage } from "../scenarios/scenario.ts";
import type { Action } from "../scenarios/script.ts";
import { type Compared, type EnvoyUnderTest, runBoth } from "./run-both.ts";

/** A round tries every way to leave one thing out, on one Envoy. */
const MAX_ROUNDS = 8;

/** The smallest scenario that differs in the same field first, found by leaving things out. */
export async function shrink(found: Compared, envoy: EnvoyUnderTest): Promise<Compared> {
  let smallest = found;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const results = await runBoth(smaller(smallest.scenario), envoy);
    const next = results
      .filter(({ differences }) => differences.some(({ path }) => path === found.differences[0]?.path))
      .sort((one, other) => size(one.scenario) - size(other.scenario))[0];
    if (next === undefined) break;
    smallest = next;
  }
  return smallest;
}

/** A scenario as it stands in the table; JSON is YAML. */
export function printScenario({ name: _name, ...scenario }: Scenario): string {
  return JSON.stringify(scenario);
}

function size(scenario: Scenario): number {
  return printScenario(scenario).length;
}

/** Parts of the settings that Envoy takes as a whole or not at all. */
const ATOMS: ReadonlySet<string> = new Set(["forwardRules", "metadataOptions", "perRoute", "allowedOverrideModes"]);

/** Without one field or element, wherever it stands. A configuration that Envoy might refuse is not among them. */
function smaller(scenario: Scenario): Scenario[] {
  return without(scenario)
    .map((candidate) => candidate as unknown as Scenario)
    .filter((candidate) => candidate.name !== undefined && isValid(candidate));
}

function isValid({ settings, script, request, response }: Scenario): boolean {
  const modes = [settings?.processingMode, settings?.perRoute?.processingMode];
  const trailersMissing = modes.some(
    (mode) =>
      (mode?.requestBodyMode === "FULL_DUPLEX_STREAMED" && mode.requestTrailerMode !== "SEND") ||
      (mode?.responseBodyMode === "FULL_DUPLEX_STREAMED" && mode.responseTrailerMode !== "SEND"),
  );
  const isAction = (action: Action) => typeof action === "string" || Object.keys(action).length > 0;
  const rulesAreWhole = (script?.rules ?? []).every((rule) => rule.on !== undefined && rule.do?.every(isAction));
  const timesOut = settings?.streamIdleTimeoutMs !== undefined;
  return !trailersMissing && rulesAreWhole && timesOut && [request, response].every(isFramed);
}

/** Whether `content-length` is what comes. */
function isFramed(message: ScenarioMessage | undefined): boolean {
  const length = message?.headers?.find(([name]) => name === "content-length")?.[1];
  return length === undefined || length === String(message?.chunks?.join("").length ?? 0);
}

function without(value: object): object[] {
  const entries = Object.entries(value);
  return entries.flatMap(([name, child]: [string, unknown], index) => {
    const rest = entries.filter((_, other) => other !== index);
    const rebuild = (kept: readonly [string, unknown][]) =>
      Array.isArray(value) ? kept.map(([, element]) => element) : Object.fromEntries(kept);
    // Names and values of header lines belong together.
    const isAtom = ATOMS.has(name);
    const isLine = Array.isArray(child) && typeof child[0] === "string" && name !== "chunks" && child.length === 2;
    const inside = typeof child === "object" && child !== null && !isLine && !isAtom ? without(child) : [];
    const replaced = inside.map((kid) => rebuild(entries.map((entry, at) => (at === index ? [name, kid] : entry))));
    return name === "name" ? replaced : [rebuild(rest), ...replaced];
  });
}
