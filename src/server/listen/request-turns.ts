/**
 * Lets one request of all HTTP/1.1 connections begin in each iteration of the event loop. Node reads the other
 * connections between two iterations, so a stream of Envoy's waits for one such request, however many have arrived.
 *
 * One object serves all listeners of the process, because they share the thread.
 */
export class RequestTurns {
  readonly #waiting: (() => void)[] = [];
  /** The turn of this iteration is taken. */
  #isTaken = false;

  /** Takes the turn of this iteration. False: it is taken, or others wait for one. */
  take(): boolean {
    if (this.#isTaken) return false;
    this.#isTaken = true;
    setImmediate(() => this.#nextIteration());
    return true;
  }

  /** Calls `turn` in a later iteration, after the callers that wait already. Only after take() has returned false. */
  wait(turn: () => void): void {
    this.#waiting.push(turn);
  }

  #nextIteration(): void {
    this.#isTaken = false;
    const turn = this.#waiting.shift();
    if (turn === undefined) return;
    this.take();
    turn();
  }
}
