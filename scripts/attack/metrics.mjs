// The server's own metrics, as its status port tells them.

const TIMEOUT_MS = 10_000;

/**
 * Every sample by its name with labels; empty if the status port does not answer.
 *
 * @param {number} port
 * @returns {Promise<Readonly<Record<string, number>>>}
 */
export async function metricsOf(port) {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const samples = (await answer.text()).matchAll(/^([a-z][^#\n]*) (\S+)$/gm);
    return Object.fromEntries([...samples].map(([, name, value]) => [name, Number(value)]));
  } catch {
    return {};
  }
}

/**
 * The samples of ext_proc's own metrics that are higher now, and by how much; gauges of the honest traffic are left out.
 *
 * @param {Readonly<Record<string, number>>} before
 * @param {Readonly<Record<string, number>>} after
 */
export function risen(before, after) {
  const changes = Object.entries(after).map(
    ([name, value]) => /** @type {const} */ ([name, value - (before[name] ?? 0)]),
  );
  return Object.fromEntries(changes.filter(([name, by]) => name.startsWith("ext_proc_") && by > 0));
}

/**
 * Bytes of bodies, messages, answers and so on that the memory account holds.
 *
 * @param {Readonly<Record<string, number>>} metrics
 */
export function heldBytes(metrics) {
  const held = Object.entries(metrics).filter(([name]) => name.startsWith("ext_proc_memory_held_bytes{"));
  // Honest transactions hold headers and answers for moments.
  const transient = /kind="(?:headers|answers)"/;
  return held.reduce((sum, [name, bytes]) => sum + (transient.test(name) && bytes < 65_536 ? 0 : bytes), 0);
}
