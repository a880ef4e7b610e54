import { existsSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { makeMemoryCgroup } from "../../scripts/attack/memory-cgroup.mjs";
import { MIXTURE } from "../../scripts/attack/mixture.mjs";
import { playAttack } from "../../scripts/attack/play.mjs";

const envoy = inject("envoyBinary");
/** The limit in deploy/ext.yaml. */
const LIMIT_MIB = 512;

async function cgroupIsPossible(): Promise<boolean> {
  const cgroup = makeMemoryCgroup(64 << 20);
  if (cgroup === undefined) return false;
  expect(existsSync(cgroup.folder)).toBe(true);
  await cgroup.remove();
  expect(existsSync(cgroup.folder)).toBe(false);
  return true;
}

test.skipIf(envoy === undefined || process.platform !== "linux")(
  "under all attacks on memory at once the server stays within the memory limit of deploy/ext.yaml and serves others",
  async () => {
    const limitedBy = (await cgroupIsPossible()) ? "cgroup" : "heap";
    if (limitedBy === "heap") process.stderr.write("No memory cgroup can be made here: resident memory is watched\n");
    const played = await playAttack(MIXTURE, { seconds: 2, envoy, honestPerSecond: 100, backWithinMs: 0 });
    const { ending, peakMiB, status, attacked, attackerFailure } = played;
    expect({ ending, attackerFailure }).toEqual({ ending: undefined, attackerFailure: undefined });
    expect(played.limitedBy).toBe(limitedBy);
    expect(peakMiB).toBeLessThan(LIMIT_MIB);
    expect(status.asked).toBeGreaterThan(0);
    expect(status.failed).toBe(0);
    const failures = Object.values(attacked.failed).reduce((sum, each) => sum + each, 0);
    expect(attacked.sent - failures).toBeGreaterThan(0);
    // What a busy machine delays, Envoy and the client give up on; nothing else may happen to honest requests.
    expect(Object.keys(attacked.failed).filter((reason) => !/^(?:504|timeout)$/.test(reason))).toEqual([]);
  },
  60_000,
);
