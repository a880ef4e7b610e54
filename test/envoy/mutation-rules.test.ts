import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import type { DeclaredEnvoySettings } from "../../src/protocol/envoy-settings.ts";
import type { HeaderChange } from "../../src/protocol/headers/header-mutation.ts";
import { refuseHeaderChange } from "../../src/protocol/headers/header-rules.ts";
import { refuseByMutationRules } from "../../src/protocol/headers/mutation-rules.ts";
import { MutationRuleChecker } from "../../src/simulator/settings/mutation-rules.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type SceneInit, startScenes } from "./rows/scene.ts";
import { mutate, on, scripted } from "./rows/script-scenes.ts";
import type { ScriptedServer } from "./scripted.ts";

type Rules = NonNullable<DeclaredEnvoySettings["mutationRules"]>;

const RULES: Readonly<Record<string, Rules>> = {
  none: {},
  routing: { allowAllRouting: true },
  envoy: { allowEnvoy: true },
  system: { disallowSystem: true },
  routing_system: { allowAllRouting: true, disallowSystem: true },
  all: { disallowAll: true },
  all_but: { disallowAll: true, allowExpression: "x-(int|env).*|:path|host" },
  some: { disallowExpression: "x-in.*|ETAG|:p" },
  some_folded: { disallowExpression: "(?i)x-internal|ETAG|:path" },
  both: { disallowExpression: "x-.*", allowExpression: "x-plain|:authority" },
  error: { disallowIsError: true, disallowExpression: "x-[[:alpha:]]{5}" },
};

/** Values that Envoy takes where its rules allow them. */
const VALUES: Readonly<Record<string, string>> = {
  "x-plain": "new",
  "x-internal": "new",
  "x-envoy-foo": "new",
  etag: '"new"',
  ":path": "/new",
  ":method": "PUT",
  ":scheme": "https",
  ":authority": "new.test",
  host: "new.test",
};
const OPERATIONS = ["set", "append", "remove"] as const;
const HEADERS = { host: "old.test", "x-plain": "old", "x-internal": "old", "x-envoy-foo": "old", etag: '"old"' };

function snakeCase(rules: Rules): JsonObject {
  const entries = Object.entries(rules).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    typeof value === "string" ? { regex: value } : value,
  ]);
  return Object.fromEntries(entries) as JsonObject;
}

function changeOf(op: HeaderChange["op"], name: string): HeaderChange {
  return op === "remove" ? { op, name } : { op, name, value: Buffer.from(VALUES[name] ?? "") };
}

describe.skipIf(envoyBinary === undefined)("mutation_rules that are declared", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    const inits = Object.entries(RULES).map(([name, rules]): [string, SceneInit] => [
      name,
      { server: scripted(), filter: { mutation_rules: snakeCase(rules) } },
    ]);
    scenes = await startScenes(new Map(inits));
  }, 30_000);

  afterAll(() => scenes?.stop());

  test.each(Object.entries(RULES))(
    "declared mutation_rules reject the same headers as a real Envoy and the simulator: %s",
    async (sceneName, rules) => {
      const scene = scenes.scenes.get(sceneName);
      const server = scene?.server as ScriptedServer;
      const declared = declareEnvoy({ mutationRules: rules }).mutationRules;
      const checker = new MutationRuleChecker(rules);
      let rejected = 0;
      for (const name of Object.keys(VALUES)) {
        for (const op of OPERATIONS) {
          const value = VALUES[name] ?? "";
          const mutation =
            op === "remove"
              ? { removeHeaders: [name] }
              : { setHeaders: [{ header: { key: name, rawValue: value }, append: op === "append" }] };
          server.play({ rules: [on("requestHeaders", mutate("requestHeaders", mutation))] });
          await scene?.send({ path: "/old", headers: HEADERS });
          const counted = (await scene?.counters())?.rejected_header_mutations ?? 0;
          const change = changeOf(op, name);
          const ours = refuseHeaderChange(change, "requestHeaders") ?? refuseByMutationRules(change, declared);
          const simulated = checker.check(op, name, Buffer.from(value));
          const where = `${op} ${name}`;
          expect([where, simulated !== undefined], "simulator").toEqual([where, counted > rejected]);
          // An expression can make Envoy append to these, which have one value, so the server refuses that in any case.
          const isStricter = op === "append" && /^:|^host$/.test(name);
          expect([where, ours !== undefined], "declared").toEqual([where, isStricter || counted > rejected]);
          rejected = counted;
        }
      }
    },
    30_000,
  );
});
