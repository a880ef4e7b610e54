import type { Session } from "./session.ts";

/**
 * The running transactions, so that a server that shuts down can end them. The sessions form a linked list. A Set would
 * keep sessions that are over in memory for longer than they lived.
 */
export class SessionSet {
  #first: Session | undefined;
  #size = 0;

  /** The number of running transactions. */
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

  /** Called once by a session when it is over. */
  delete(session: Session): void {
    const { links } = session;
    if (links.previous) links.previous.links.next = links.next;
    else this.#first = links.next;
    if (links.next) links.next.links.previous = links.previous;
    links.previous = undefined;
    links.next = undefined;
    this.#size--;
  }

  /** Ends all sessions. Those that wait for an answer get the fault `server_draining`. */
  shutDown(): void {
    // A session that ends removes itself, and may end other sessions.
    while (this.#first) this.#first.shutDown();
  }
}

/** The neighbours of a session in its set. */
export interface SessionLinks {
  previous: Session | undefined;
  next: Session | undefined;
}
