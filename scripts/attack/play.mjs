// Runs one attack with its own server, with honest traffic before, during and after it, and reports the result of each.
import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startFront } from "./front.mjs";
import { MemoryWatch, OthersWatch, residentMiB } from "./machine.mjs";
import { heldBytes, metricsOf, risen } from "./metrics.mjs";
import { startServer } from "./server.mjs";
import { StatusProbe } from "./status-probe.mjs";

/** @typedef {import("./attacks.mjs").Attack} Attack */
/** @typedef {import("./latency.mjs").Honest} Honest */

/**
 * @typedef {object} PlayOptions
 * @property {number} seconds How long the attack lasts.
 * @property {string | undefined} envoy Path of the real Envoy, for attacks by its clients.
 * @property {number} [honestPerSecond] Default 500.
 * @property {number} [backWithinMs] How long to wait until memory is back. Default: 10 s, and what the attack's handlers hang.
 * @property {(step: string) => void} [onStep] Told what goes on.
 *
 * @typedef {object} Played
 * @property {Attack} attack
 * @property {string | undefined} ending How the server ended during the attack; undefined if it survived.
 * @property {Readonly<Record<string, number>>} outcomes How the attacker's requests or connections ended.
 * @property {string | undefined} attackerFailure Why the attacker stopped early, which says nothing about the server.
 * @property {Honest} calm
 * @property {Honest} attacked
 * @property {Honest} afterwards
 * @property {import("./status-probe.mjs").Probed} status
 * @property {Readonly<Record<string, number>>} risen Metrics that rose, and by how much.
 * @property {"cgroup" | "heap"} limitedBy What kept the server to 512 MiB.
 * @property {number} calmMiB Resident memory before the attack.
 * @property {number} peakMiB
 * @property {number} afterMiB Resident memory when it had come back, or 10 s after the attack.
 * @property {number | undefined} backMs How long memory took to come back; undefined if it took longer than 10 s.
 * @property {number} heldBytes What the memory account held at that time.
 * @property {number} othersShare Share of the machine that work of others took during the calm and the attack.
 * @property {number | undefined} stoppedMs How long the server took to end when it was told to; undefined if it did not.
 * @property {number} longestLine The longest line of the log, in bytes.
 */

/** Beyond what was resident in the calm: the heap keeps free pages for a while. */
export const MEMORY_SLACK_MIB = 128;
export const MEMORY_BACK_MS = 10_000;
const STOP_MS = 15_000;
const ATTACKER_GRACE_MS = 30_000;
const HONEST_PER_SECOND = 500;
const LOW_PRIORITY = 15;

const honestFile = fileURLToPath(new URL("honest.mjs", import.meta.url));
const attackerFile = fileURLToPath(new URL("attacker.mjs", import.meta.url));

/**
 * @param {Attack} attack
 * @param {PlayOptions} options
 * @returns {Promise<Played>}
 */
export async function playAttack(attack, options) {
  const { seconds, envoy, honestPerSecond = HONEST_PER_SECOND, onStep = () => {} } = options;
  const { backWithinMs = MEMORY_BACK_MS + (attack.holdsMs ?? 0) } = options;
  onStep("starting");
  const server = await startServer(attack.server);
  const front = attack.from === "client" ? await startFront(envoy, server.ports.main, attack.filter) : undefined;
  const target = front === undefined ? ["main", server.ports.main] : ["envoy", front.port];
  const honest = fork(honestFile, [...target, honestPerSecond].map(String));
  const seen = () => askHonest(honest);
  const probe = new StatusProbe(server.ports.status);
  try {
    onStep("calm");
    await delay(warmUpMs(seconds));
    await seen();
    const others = new OthersWatch();
    await delay(calmMs(seconds));
    const calm = await seen();
    const calmMiB = residentMiB(server.pid);
    const before = await metricsOf(server.ports.status);
    const watch = new MemoryWatch(server.pid);
    probe.start();
    onStep("attack");
    const attacker = await runAttacker(attack, { ...server.ports, client: front?.port ?? 0 }, seconds);
    const attacked = await seen();
    const ending = server.ending();
    const peakMiB = watch.stop();
    const othersShare = others.share();
    onStep("recovery");
    const back = await untilBack(server, calmMiB, backWithinMs);
    const afterwards = await seen();
    const status = await probe.stop();
    const after = ending === undefined ? await metricsOf(server.ports.status) : before;
    const lines = server.log().split("\n");
    const longestLine = lines.reduce((longest, line) => Math.max(longest, Buffer.byteLength(line)), 0);
    honest.disconnect();
    const stoppedMs = await server.stop(STOP_MS);
    return {
      attack,
      ending,
      ...attacker,
      calm,
      attacked,
      afterwards,
      status,
      risen: risen(before, after),
      limitedBy: server.limitedBy,
      calmMiB,
      peakMiB,
      ...back,
      othersShare,
      stoppedMs,
      longestLine,
    };
  } finally {
    await probe.stop();
    if (honest.connected) honest.disconnect();
    await server.stop(0);
    await front?.stop();
  }
}

/** Code is compiled and the heap has grown before it counts: half of the calm, at most 3 s. @param {number} seconds */
function warmUpMs(seconds) {
  return Math.min(3000, Math.max(300, seconds * 500));
}

/** @param {number} seconds */
function calmMs(seconds) {
  return Math.min(10_000, Math.max(500, seconds * 500));
}

/**
 * What honest requests have seen since they were asked last.
 *
 * @param {import("node:child_process").ChildProcess} honest
 * @returns {Promise<Honest>}
 */
async function askHonest(honest) {
  if (!honest.connected) throw new Error("the honest client has ended");
  const gone = new AbortController();
  const onExit = () => gone.abort(new Error("the honest client has ended"));
  honest.once("exit", onExit);
  try {
    const answer = once(honest, "message", { signal: gone.signal });
    honest.send("take");
    return (await answer)[0];
  } finally {
    honest.off("exit", onExit);
  }
}

/**
 * @param {Attack} attack
 * @param {object} ports
 * @param {number} seconds
 * @returns {Promise<{ outcomes: Readonly<Record<string, number>>, attackerFailure: string | undefined }>}
 */
async function runAttacker(attack, ports, seconds) {
  const child = fork(attackerFile, [attack.name, JSON.stringify(ports), String(seconds)]);
  // A small machine must not be what the honest requests wait for.
  if (child.pid !== undefined) setPriority(child.pid, LOW_PRIORITY);
  const lastResort = setTimeout(() => child.kill("SIGKILL"), seconds * 1000 + ATTACKER_GRACE_MS);
  /** @type {Readonly<Record<string, number>> | undefined} */
  let outcomes;
  child.on("message", (message) => {
    outcomes = /** @type {any} */ (message);
  });
  const [code, signal] = await once(child, "exit");
  clearTimeout(lastResort);
  if (outcomes === undefined)
    return { outcomes: {}, attackerFailure: `it ended with ${signal ?? `exit code ${code}`}` };
  return { outcomes, attackerFailure: undefined };
}

/**
 * Waits until memory is back; nothing forces a garbage collection.
 *
 * @param {import("./server.mjs").RunningServer} server
 * @param {number} calmMiB
 * @param {number} withinMs
 */
async function untilBack(server, calmMiB, withinMs) {
  const startedMs = performance.now();
  for (;;) {
    const afterMiB = residentMiB(server.pid);
    const held = server.ending() === undefined ? heldBytes(await metricsOf(server.ports.status)) : 0;
    const tookMs = performance.now() - startedMs;
    if (afterMiB <= calmMiB + MEMORY_SLACK_MIB && held === 0) return { afterMiB, backMs: tookMs, heldBytes: held };
    if (tookMs > withinMs) return { afterMiB, backMs: undefined, heldBytes: held };
    await delay(200);
  }
}
