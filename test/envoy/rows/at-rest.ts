import { expect } from "vitest";
import type { ScriptedCall, ScriptedServer } from "../scripted.ts";
import { isSince } from "./envoy-release.ts";
import { eventually } from "./eventually.ts";
import type { Scene, SceneInit } from "./scene.ts";
import { DONE_CODE } from "./script-scenes.ts";

/** Counters that stay at 0 unless a test provokes them. */
export const QUIET = {
  streams_failed: 0,
  spurious_msgs_received: 0,
  message_timeouts: 0,
  failure_mode_allowed: 0,
  rejected_header_mutations: 0,
  override_message_timeout_ignored: 0,
  clear_route_cache_ignored: 0,
  clear_route_cache_disabled: 0,
};

/**
 * Waits until a scene is at rest: no request is under way, the filter's counters are what the scene declares and 0
 * otherwise, and Envoy has ended every stream to a scripted server as this release does.
 */
export async function expectAtRest(scene: Scene, { counters = {}, resets = true }: SceneInit): Promise<void> {
  await eventually(async () => expect(await scene.active()).toBe(0));
  const expected: Record<string, number> = { ...QUIET, ...counters };
  await eventually(async () => {
    const now = await scene.counters();
    const declared = Object.keys(expected).map((counter) => [counter, now[counter]]);
    expect(Object.fromEntries(declared)).toEqual(expected);
  });
  if (!("calls" in scene.server)) return;
  for (const call of (scene.server as ScriptedServer).calls) {
    await eventually(() => expect(call.events.at(-1)?.kind).toBe("closed"));
    expect(resets ? resetCodes(call) : [undefined], "reset codes").toContain(call.resetCode);
  }
}

/** Codes of the RST_STREAM that Envoy may send; undefined: none. */
function resetCodes({ events }: ScriptedCall): readonly (number | undefined)[] {
  const own = events.find((event) => event.kind === "serverEnded");
  if (own === undefined) return [DONE_CODE];
  if (own.how.startsWith("reset") || own.how === "disconnect") return [undefined];
  // Before 1.38 Envoy closed its half, and the reset behind it came too late for Node to tell.
  return isSince("1.38") ? [DONE_CODE] : [DONE_CODE, undefined];
}
