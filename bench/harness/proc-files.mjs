// What Linux tells about a process: CPU time and memory.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/**
 * CPU time in clock ticks from the text of `/proc/<pid>/stat`: all threads of the process, and its children that
 * have ended. The second field is the program's name in parentheses and may itself hold blanks and parentheses.
 *
 * @param {string} text
 * @returns {{ readonly own: number, readonly endedChildren: number }}
 */
export function parseStat(text) {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // proc_pid_stat(5): utime, stime, cutime, cstime are fields 14 to 17, and the first of these is field 3.
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
  return { own: Number(user) + Number(system), endedChildren: Number(childUser) + Number(childSystem) };
}

/**
 * A value of `/proc/<pid>/status` in MiB, such as `VmHWM`.
 *
 * @param {string} text
 * @param {string} name
 * @returns {number}
 */
export function parseStatusMiB(text, name) {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${name} in /proc/<pid>/status`);
  return Number(kibibytes) / 1024;
}

export const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/**
 * CPU seconds that a process and all its descendants have used so far.
 *
 * @param {number} pid
 * @returns {number}
 */
export function cpuSeconds(pid) {
  let ticks = 0;
  for (const id of [pid, ...descendants(pid)]) {
    const { own, endedChildren } = parseStat(readFileSync(`/proc/${id}/stat`, "utf8"));
    ticks += own + endedChildren;
  }
  return ticks / ticksPerSecond;
}

/**
 * @param {number} pid
 * @returns {number[]}
 */
function descendants(pid) {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/**
 * Resident memory of a process in MiB: now, or at its highest since {@link forgetPeak}.
 *
 * @param {number} pid
 * @param {"VmRSS" | "VmHWM"} name
 */
export function memoryMiB(pid, name) {
  return parseStatusMiB(readFileSync(`/proc/${pid}/status`, "utf8"), name);
}

/**
 * Has VmHWM start again from what is resident now (proc_pid_clear_refs(5), value 5).
 *
 * @param {number} pid
 */
export function forgetPeak(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
