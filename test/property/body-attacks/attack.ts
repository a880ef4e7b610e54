/** A failure, and its place. */
export type Act = "throw" | "reject" | "hang" | "nothing";
/** The headers, a piece of the body by its number, its end, or the trailers. */
export type Point = "headers" | number | "end" | "trailers";

const NEVER = new Promise<never>(() => {});

/** The attack on a handler: a processor calls this at each point. */
export class Attack {
  readonly act: Act;
  readonly at: Point;
  /** Whether the point was reached. */
  met = false;
  /** The number of generators that began, and of those whose `finally` ran. */
  begun = 0;
  finished = 0;
  /** The number of calls of `done`. */
  done = 0;
  #piece = 0;

  constructor(act: Act, at: Point) {
    this.act = act;
    this.at = at;
  }

  /** The next piece of a body. */
  piece<T>(result: T): T | Promise<T> {
    return this.point(this.#piece++, result);
  }

  /** The result of a handler at a point, unless the attack is at this point. */
  point<T>(at: Point, result: T): T | Promise<T> {
    if (this.act === "nothing" || at !== this.at || this.met) return result;
    this.met = true;
    if (this.act === "throw") throw new Error("attacked");
    return this.act === "hang" ? NEVER : Promise.reject(new Error("attacked"));
  }
}
