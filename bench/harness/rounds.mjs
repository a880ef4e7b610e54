// Measures peers in turns.

/**
 * @typedef {Record<string, number>} Measurement Values by the key of their metric.
 *
 * @typedef {object} Subject A peer in a scenario, ready to be measured.
 * @property {() => Promise<Measurement>} measure
 * @property {() => Promise<void>} close
 */

/**
 * Measures every subject once a round, in the opposite order in every other round. So a machine that gets slower or
 * faster during a run favours no subject.
 *
 * @param {ReadonlyMap<string, Subject>} subjects By the name of the peer.
 * @param {number} rounds
 * @param {(peer: string, problem: Error) => void} onProblem A subject that fails is not measured again.
 * @returns {Promise<Map<string, Measurement[]>>}
 */
export async function measureInTurns(subjects, rounds, onProblem) {
  /** @type {Map<string, Measurement[]>} */
  const measurements = new Map([...subjects.keys()].map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round++) {
    const peers = [...measurements.keys()];
    for (const peer of round % 2 === 0 ? peers : peers.reverse()) {
      try {
        const measurement = await subjects.get(peer)?.measure();
        if (measurement) measurements.get(peer)?.push(measurement);
      } catch (error) {
        measurements.delete(peer);
        onProblem(peer, /** @type {Error} */ (error));
      }
    }
  }
  return measurements;
}
