import type { Session } from "./session.ts";

/** The transactions that are under way, so that a server which has to go can end what is left of them. */
export class SessionSet {
  readonly #sessions = new Set<Session>();

  /** How many there are. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Called by a session when it opens. */
  add(session: Session): void {
    this.#sessions.add(session);
  }

  /** Called by a session when it is over. */
  delete(session: Session): void {
    this.#sessions.delete(session);
  }

  /** Ends them all; those that are owed an answer with fault `server_draining`. */
  shutDown(): void {
    for (const session of this.#sessions) session.shutDown();
  }
}
