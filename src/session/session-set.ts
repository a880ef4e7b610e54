import type { Session } from "./session.ts";

/**
 * The transactions that are under way, so that a server which has to go can end what is left of them. A linked list
 * through the sessions: a Set would keep those that are over in memory for longer than they lived.
 */
export class SessionSet {
  #first: Session | undefined;
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** Called by a session when it opens. */
  add(session: Session): void {
    const { links } = session;
    links.next = this.#first;
    if (this.#first) this.#first.links.previous = session;
    this.#first = session;
    this.#size++;
  }

  /** Called by a session when it is over; once. */
  delete(session: Session): void {
    const { links } = session;
    if (links.previous) links.previous.links.next = links.next;
    else this.#first = links.next;
    if (links.next) links.next.links.previous = links.previous;
    links.previous = undefined;
    links.next = undefined;
    this.#size--;
  }

  /** Ends them all; those that are owed an answer with fault `server_draining`. */
  shutDown(): void {
    // A session that ends unlinks itself, and may end others.
    while (this.#first) this.#first.shutDown();
  }
}

/** The neighbours of a session in the set it is in. */
export interface SessionLinks {
  previous: Session | undefined;
  next: Session | undefined;
}
