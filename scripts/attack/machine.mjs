// What Linux tells while an attack lasts: the server's memory, and how busy the machine is with work that is not ours.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { cpuSeconds, memoryMiB, ticksPerSecond } from "../../bench/harness/proc-files.mjs";

/** Resident memory; 0 if the process has ended. @param {number} pid */
export function residentMiB(pid) {
  try {
    return memoryMiB(pid, "VmRSS");
  } catch {
    return 0;
  }
}

/** The highest resident memory of a process, sampled. */
export class MemoryWatch {
  #peakMiB = 0;
  #timer;

  /** @param {number} pid */
  constructor(pid) {
    this.#timer = setInterval(() => {
      this.#peakMiB = Math.max(this.#peakMiB, residentMiB(pid));
    }, 50);
  }

  stop() {
    clearInterval(this.#timer);
    return this.#peakMiB;
  }
}

/** The share of the machine's CPUs that processes use which are not this one or below it. */
export class OthersWatch {
  #startedMs = performance.now();
  #busy = busySeconds();
  #own = cpuSeconds(process.pid);

  share() {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const others = busySeconds() - this.#busy - (cpuSeconds(process.pid) - this.#own);
    return Math.max(0, others / seconds / availableParallelism());
  }
}

/** CPU time of the whole machine, without idle time (proc_stat(5)). */
function busySeconds() {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? ""
  )
    .split(" ")
    .map(Number);
  return (user + nice + system + irq + softirq) / ticksPerSecond;
}
