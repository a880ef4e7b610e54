import { afterAll, beforeAll, describe, test, vi } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { expectAtRest } from "./at-rest.ts";
import { envoyVersion, isSince } from "./envoy-release.ts";
import { type RunningScenes, type Scene, type SceneInit, type SceneServer, startScenes } from "./scene.ts";

declare module "vitest" {
  interface TaskMeta {
    /** Why a row does not run behind this release. */
    skippedBecause?: string;
  }
}

/** What a row needs before it runs. */
export interface RowSetup<S extends SceneInits> {
  /** First release of Envoy that has what the row is about, major and minor. Default: all. */
  readonly since?: string;
  readonly scenes: S;
}

/** Declares a row: a test whose scenes are set up with those of all other rows of its file. */
export type DeclareRow = <S extends SceneInits>(
  name: `row ${string}`,
  setup: RowSetup<S>,
  run: (scenes: ScenesOf<S>) => Promise<void>,
) => void;

type SceneInits = Readonly<Record<string, SceneInit>>;
type ScenesOf<S extends SceneInits> = { readonly [K in keyof S]: Scene<ServerOf<S[K]>> };
type ServerOf<I extends SceneInit> = I extends { readonly server: () => Promise<infer X extends SceneServer> }
  ? X
  : SceneServer;

/** Rows that run side by side behind one Envoy; most of their time they wait. */
const ROWS_AT_ONCE = 12;
/** A row may have to wait for several timeouts in a row on a slow machine. */
const ROW_TIMEOUT_MS = 40_000;

/**
 * Declares the rows of a topic, which run behind one Envoy. Each has its own listeners, clusters, servers and
 * `stat_prefix`. `runtime` has Envoy's runtime guards. After each row, its scenes have to be at rest ({@link expectAtRest}).
 */
export function envoyRows(topic: string, declare: (row: DeclareRow) => void, runtime?: JsonObject): void {
  vi.setConfig({ maxConcurrency: ROWS_AT_ONCE, testTimeout: ROW_TIMEOUT_MS });
  const inits = new Map<string, SceneInit>();
  let running: RunningScenes | undefined;

  describe.skipIf(envoyBinary === undefined)(topic, () => {
    beforeAll(async () => {
      // None of the rows may be for this release.
      if (inits.size > 0) running = await startScenes(inits, runtime);
    });

    afterAll(() => running?.stop());

    describe.concurrent("behind a real Envoy", () => {
      declare((name, { since = "1.36", scenes }, run) => {
        if (!isSince(since)) {
          test(name, ({ skip, task }) => {
            task.meta.skippedBecause = `needs Envoy ${since}`;
            skip(`needs Envoy ${since}, this is ${envoyVersion}`);
          });
          return;
        }
        const names = Object.keys(scenes).map((key) => [key, sceneName(name, key)] as const);
        for (const [key, full] of names) inits.set(full, scenes[key] as SceneInit);
        test(name, async () => {
          const own = names.map(([key, full]) => [key, running?.scenes.get(full)] as const);
          await run(Object.fromEntries(own) as ScenesOf<typeof scenes>);
          for (const [key, scene] of own) await expectAtRest(scene as Scene, scenes[key] as SceneInit);
        });
      });
    });
  });
}

/** "row 13b: …" and "open" give `row_13b_open`. */
function sceneName(row: string, key: string): string {
  const [, number = ""] = /^row (\w+): ./.exec(row) ?? [];
  if (number === "") throw new TypeError(`${row}: a row's name begins with "row NN: "`);
  return `row_${number}_${key}`;
}
