/** What goes wrong, and where. */
export type Act = "throw" | "reject" | "hang" | "nothing";
/** The headers, a piece of the body by its number, its end, or the trailers. */
export type Point = "headers" | number | "end" | "trailers";

const NEVER = new Promise<never>(() => {});

/** A handler's misfortune: what a test gives a processor to call at each point. */
export class Attack {
  readonly act: Act;
  readonly at: Point;
  /** Whether the point was met. */
  met = false;
  /** Generators that began, and those whose `finally` ran. */
  begun = 0;
  finished = 0;
  /** Times that `done` was told. */
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

  /** What a handler returns at a point, unless this is if it is attacked. */
  point<T>(at: Point, result: T): T | Promise<T> {
    if (this.act === "nothing" || at !== this.at || this.met) return result;
    this.met = true;
    if (this.act === "throw") throw new Error("attacked");
    return this.act === "hang" ? NEVER : Promise.reject(new Error("attacked"));
  }
}
