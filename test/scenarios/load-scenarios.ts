import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Scenario } from "./scenario.ts";

/** A file of the table: one topic. */
export interface ScenarioTopic {
  readonly topic: string;
  readonly scenarios: readonly Scenario[];
}

/** The table: every YAML file of this folder, in alphabetical order. Throws if two scenarios have the same name. */
export function loadScenarios(): readonly ScenarioTopic[] {
  const folder = new URL(".", import.meta.url);
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort();
  const topics = files.map((file): ScenarioTopic => {
    const text = readFileSync(new URL(file, folder), "utf8");
    // `x-` keys hold what several scenarios of a file share.
    const { scenarios } = parse(text, { merge: true, maxAliasCount: -1 }) as { scenarios: Scenario[] };
    return { topic: file.replace(".yaml", ""), scenarios };
  });
  const names = topics.flatMap(({ scenarios }) => scenarios.map(({ name }) => name));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`two scenarios are called ${JSON.stringify(twice)}`);
  return topics;
}

/** Whether a scenario is run on a release. */
export function runsOn({ only }: Scenario, version: EnvoyVersion): boolean {
  return only === undefined || only.includes(version);
}
