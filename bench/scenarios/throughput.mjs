// What the scenarios under load have in common: as many requests as take a given time, and the CPU they cost.

/**
 * @typedef {import("../harness/h2load.mjs").H2loadResult} H2loadResult
 *
 * @typedef {object} Throughput
 * @property {(seconds: number) => Promise<void>} warmUp
 * @property {(seconds: number) => Promise<{ readonly requests: number, readonly good: number, readonly cpuSeconds: number, readonly perSecond: number }>} measure
 */

/**
 * @param {object} subject
 * @param {import("../harness/peer-server.mjs").PeerServer} subject.server Whose CPU counts.
 * @param {(requests: number) => Promise<H2loadResult>} subject.load
 * @param {number} subject.probe Requests that even the slowest server answers in a second or so.
 * @returns {Throughput}
 */
export function throughputOf({ server, load, probe }) {
  let perSecond = 0;
  /** @param {number} requests */
  const run = async (requests) => {
    const result = await load(Math.ceil(requests));
    perSecond = result.requests / result.seconds;
    return result;
  };
  return {
    async warmUp(seconds) {
      const until = performance.now() + seconds * 1000;
      await run(probe);
      // In steps: a server that compiles itself as it runs is many times faster in the end than at first.
      while (performance.now() < until) await run((perSecond * seconds) / 4);
    },
    async measure(seconds) {
      server.forgetPeak();
      const before = server.cpuSeconds();
      const { requests, good } = await run(perSecond * seconds);
      return { requests, good, cpuSeconds: server.cpuSeconds() - before, perSecond };
    },
  };
}
