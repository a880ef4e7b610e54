// A memory cgroup, as the kubelet makes one for a pod's limit. Making one needs root and a cgroup file system.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/**
 * @typedef {object} MemoryCgroup
 * @property {string} folder Processes join by writing their id into its `cgroup.procs`.
 * @property {() => number} kills How many processes the kernel has killed in it.
 * @property {() => Promise<void>} remove Once every process in it has ended.
 * @property {() => void} removeNow The same for a process that is about to exit; it waits for 1 s at most.
 */

/** Version 1 has a hierarchy for each resource, version 2 one for all. */
const VERSIONS = [
  { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", events: "memory.oom_control" },
  { root: "/sys/fs/cgroup", limit: "memory.max", events: "memory.events" },
];

let count = 0;

/**
 * Makes a cgroup with this limit; undefined if this machine does not allow it.
 *
 * @param {number} limitBytes
 * @returns {MemoryCgroup | undefined}
 */
export function makeMemoryCgroup(limitBytes) {
  for (const { root, limit, events } of VERSIONS) {
    const folder = join(root, `ext-proc-attack-${process.pid}-${count++}`);
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    try {
      if (!existsSync(join(folder, limit))) throw new Error("the memory controller is off");
      writeFileSync(join(folder, limit), String(limitBytes));
      const kills = () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(folder, events), "utf8"))?.[1] ?? 0);
      return { folder, kills, remove: () => remove(folder), removeNow: () => removeNow(folder) };
    } catch {
      rmdirSync(folder);
    }
  }
  return undefined;
}

/** @param {string} folder */
async function remove(folder) {
  // The kernel takes a moment to remove a process that has ended.
  for (let tries = 0; existsSync(folder); tries++) {
    try {
      rmdirSync(folder);
    } catch (error) {
      if (tries === 50) throw error;
      await delay(100);
    }
  }
}

/** @param {string} folder */
function removeNow(folder) {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 50 && existsSync(folder); tries++) {
    try {
      rmdirSync(folder);
    } catch {
      Atomics.wait(sleeper, 0, 0, 20);
    }
  }
}
