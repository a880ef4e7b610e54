// What the run of an attack must show, and whether it does.
import { MEMORY_BACK_MS, MEMORY_SLACK_MIB } from "./play.mjs";

/** @typedef {import("./play.mjs").Played} Played */
/** @typedef {{ question: string, good: boolean, answer: string }} Finding */

/** Resident memory during attacks by clients of Envoy. */
const CLIENT_PEAK_MIB = 400;
/** The limit of memory in deploy/ext.yaml. */
const PORT_PEAK_MIB = 512;
/** Latency of Envoy's transactions while a port is attacked in one of the ways that were faults. */
const PORT_P99_MS = 50;
/** The same during floods, which may use up the rate limits of their connection: Envoy's default message_timeout. */
const FLOOD_P99_MS = 200;
/** How much worse latency may be than in the calm: a busy machine has a bad calm too. */
const CALM_FACTOR = 3;
/** Above it the machine is so busy with other work that limits of time are raised. */
const MOST_OTHERS_SHARE = 0.15;
/** Differences below it are the machine's. */
const LEAST_P99_MS = 15;

/**
 * @param {Played} played
 * @returns {Finding[]}
 */
export function findings(played) {
  const { attack, calm, status } = played;
  const isClient = attack.from === "client";
  const peakLimit = attack.peakMiB ?? (isClient ? CLIENT_PEAK_MIB : PORT_PEAK_MIB);
  const factorMs = Math.max(CALM_FACTOR * calm.p99Ms, LEAST_P99_MS);
  const portMs = attack.fault === undefined ? FLOOD_P99_MS : PORT_P99_MS;
  const p99LimitMs = Math.max(attack.p99Ms ?? 0, isClient ? factorMs : Math.max(portMs, factorMs));
  return [
    finding("survived", played.ending === undefined, played.ending ?? "yes"),
    finding("right codes", wrongOutcomes(played) === undefined, wrongOutcomes(played) ?? listed(played.outcomes)),
    finding("counted", isCounted(played), countedText(played)),
    honestFinding(played),
    latencyFinding(played, p99LimitMs),
    finding(
      "status port",
      status.failed === 0,
      `${status.failed} of ${status.asked} failed, slowest ${ms(status.slowestMs)}`,
    ),
    finding(
      "memory peak",
      played.peakMiB <= peakLimit,
      `${mib(played.peakMiB)}, calm ${mib(played.calmMiB)}, at most ${mib(peakLimit)}`,
    ),
    finding("memory back", played.backMs !== undefined, backText(played)),
    finding(
      "ends when told",
      played.stoppedMs !== undefined || played.ending !== undefined,
      played.stoppedMs === undefined ? "no" : ms(played.stoppedMs),
    ),
    ...[attack.check?.(played)].filter((text) => text !== undefined).map((text) => finding("check", false, text ?? "")),
  ];
}

/** What a busy machine does to requests. REFUSED_STREAM: so many wait that the connection has no stream left. */
const SLOW = /^(?:504|timeout|RST_STREAM REFUSED_STREAM)$/;

/** @param {Played} played */
function honestFinding({ attack, attacked, afterwards, othersShare }) {
  const failed = failures(attacked.failed, afterwards.failed);
  if (failed === "") return finding("honest requests", true, `${attacked.sent} passed`);
  const reasons = [attacked, afterwards].flatMap((honest) => Object.keys(honest.failed));
  const areSlow = reasons.every((reason) => SLOW.test(reason));
  const share = Object.values(attacked.failed).reduce((sum, count) => sum + count, 0) / attacked.sent;
  if (areSlow && Object.keys(afterwards.failed).length === 0 && share <= (attack.slowShare ?? 0))
    return finding("honest requests", true, `${failed}: ${(share * 100).toFixed(1)} % were too slow`);
  const isExcused = isBusy(othersShare) && areSlow;
  return finding("honest requests", isExcused, isExcused ? `${failed}; not judged: ${busyText(othersShare)}` : failed);
}

/**
 * @param {Played} played
 * @param {number} quietLimitMs
 */
function latencyFinding({ attacked, calm, othersShare }, quietLimitMs) {
  // What a request passes through stands in line for a CPU several times.
  const limitMs = isBusy(othersShare) ? quietLimitMs / (1 - Math.min(othersShare, 0.9)) ** 2 : quietLimitMs;
  const figures = `${ms(attacked.p99Ms)}, calm ${ms(calm.p99Ms)}, at most ${ms(limitMs)}`;
  const why = limitMs === quietLimitMs ? "" : ` since ${busyText(othersShare)}`;
  return finding("honest p99", attacked.p99Ms <= limitMs, figures + why);
}

/** @param {number} othersShare */
function isBusy(othersShare) {
  return othersShare > MOST_OTHERS_SHARE;
}

/** @param {number} othersShare */
function busyText(othersShare) {
  return `the machine was busy with other work for ${Math.round(othersShare * 100)} %`;
}

/**
 * @param {string} question
 * @param {boolean} good
 * @param {string} answer
 */
function finding(question, good, answer) {
  return { question, good, answer };
}

/** @param {Played} played */
function wrongOutcomes({ attack, outcomes, attackerFailure, othersShare }) {
  if (attackerFailure !== undefined) return `the attacker failed: ${attackerFailure}`;
  // Envoy and the server give up on what a busy machine delays.
  const isRight = (/** @type {string} */ outcome) =>
    attack.right.test(outcome) ||
    (isBusy(othersShare) && attack.from === "client" && /^(?:50[04]|no answer)$/.test(outcome));
  const wrong = Object.fromEntries(Object.entries(outcomes).filter(([outcome]) => !isRight(outcome)));
  if (Object.keys(wrong).length > 0) return `not expected: ${listed(wrong)}`;
  if (Object.keys(outcomes).length === 0) return "there was no outcome";
  const { seen } = attack;
  if (seen === undefined || Object.keys(outcomes).some((outcome) => seen.test(outcome))) return undefined;
  return `${seen} did not occur: ${listed(outcomes)}`;
}

/** @param {Played} played */
function isCounted({ attack, risen }) {
  const { counted } = attack;
  return counted === undefined || Object.keys(risen).some((name) => counted.test(name));
}

/** @param {Played} played */
function countedText({ attack, risen }) {
  const { counted } = attack;
  const own = Object.entries(risen).filter(([name]) => counted?.test(name));
  if (own.length > 0)
    return own
      .slice(0, 2)
      .map(([name, by]) => `${name} +${by}`)
      .join(", ");
  if (counted === undefined) return "nothing to count";
  return `no metric like ${counted} rose`;
}

/** @param {Played} played */
function backText({ attack, calmMiB, afterMiB, backMs, heldBytes }) {
  const held = heldBytes === 0 ? "" : `, ${heldBytes} bytes in the account`;
  if (backMs === undefined)
    return `${mib(afterMiB)} after ${ms(MEMORY_BACK_MS + (attack.holdsMs ?? 0))}, at most ${mib(calmMiB + MEMORY_SLACK_MIB)}${held}`;
  return `${mib(afterMiB)} after ${ms(backMs)}`;
}

/**
 * @param {Readonly<Record<string, number>>} first
 * @param {Readonly<Record<string, number>>} second
 */
function failures(first, second) {
  const parts = [
    ["during", first],
    ["afterwards", second],
  ].map(([when, failed]) =>
    Object.keys(failed ?? {}).length === 0 ? "" : `failed ${when}: ${listed(/** @type {any} */ (failed))}`,
  );
  return parts.filter(Boolean).join("; ");
}

/** @param {Readonly<Record<string, number>>} counts */
function listed(counts) {
  const entries = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
  return entries.map(([name, count]) => `${name} x${count}`).join(", ");
}

/** @param {number} value */
function ms(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** @param {number} value */
function mib(value) {
  return `${Math.round(value)} MiB`;
}
