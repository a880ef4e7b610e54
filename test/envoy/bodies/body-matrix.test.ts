import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envoyBinary } from "../envoy-rig.ts";
import { envoyVersion } from "../rows/envoy-release.ts";
import { type BodyRig, startBodyRig } from "./body-rig.ts";
import { allCases, type BodyCase, sampledCases } from "./cases.ts";
import { checkCase } from "./check-case.ts";
import { isLarge } from "./expectation.ts";
import { READERS, type ReaderName } from "./readers.ts";
import { SETTINGS, type SettingName } from "./settings.ts";

/** `npm run test:envoy-bodies` has all of them. */
const isFull = process.env.EXT_PROC_BODY_MATRIX === "full";
const CASES = isFull ? allCases() : sampledCases();
/** So that every way through the code meets every other; large bodies would only wait for each other. */
const AT_ONCE = 8;
const LARGE_AT_ONCE = 2;

describe.skipIf(envoyBinary === undefined)("a body that passes a real Envoy and a handler", () => {
  let rig: BodyRig;
  let done = 0;

  beforeAll(async () => {
    // Large bodies keep everything else waiting at times.
    rig = await startBodyRig(CASES, isFull ? 15 : 4);
  });

  afterAll(() => rig?.stop());

  describe.each(Object.keys(SETTINGS) as SettingName[])("in %s", (setting) => {
    test.each(Object.keys(READERS) as ReaderName[])(
      "a body has the changes of its handler: %s",
      async (reader) => {
        const own = CASES.filter((each) => each.reader === reader && each.setting === setting);
        const startedMs = performance.now();
        const failures = [
          ...(await failuresOf(
            own.filter((each) => !isLarge(each)),
            AT_ONCE,
          )),
          ...(await failuresOf(own.filter(isLarge), LARGE_AT_ONCE)),
        ];
        done += own.length;
        if (isFull) {
          const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
          const outcome = failures.length === 0 ? "" : `, ${failures.length} FAILED`;
          process.stdout.write(
            `Envoy ${envoyVersion}, ${setting}, ${reader}: ${own.length} bodies in ${seconds} s${outcome}; ${done}/${CASES.length}\n`,
          );
        }
        expect(failures, failures.join("\n")).toHaveLength(0);
      },
      isFull ? 300_000 : 60_000,
    );
  });

  test("no rest of a body is read as a request", () => {
    expect(rig.upstream.problems).toEqual([]);
  });

  /** Why cases failed. Each case is run, also after others failed. */
  async function failuresOf(cases: readonly BodyCase[], atOnce: number): Promise<readonly string[]> {
    const failures: string[] = [];
    const waiting = [...cases];
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await checkCase(rig, next).catch((cause: unknown) => failures.push(String(cause)));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    return failures;
  }
});
