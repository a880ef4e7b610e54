/** How large a body may be after decoding. */
export interface DecodeLimits {
  /** Decoded bytes; if codings are stacked, also the bytes between two codings. */
  readonly maxBytes: number;
  /**
   * Decoded bytes for each encoded one, once there is more than 1 MiB. Default 200, Apache's: texts reach 20, machine
   * generated ones 100, a gzip bomb 1000 and a brotli one 100,000.
   */
  readonly maxRatio?: number | undefined;
}

const DEFAULT_MAX_RATIO = 200;
/** Short bodies may have any ratio: a megabyte does no harm, and a megabyte of blanks is not an attack. */
const ANY_RATIO_BYTES = 1 << 20;

/** The bytes of a body that have come on the wire. Stacked codings share it, so that their ratios cannot multiply. */
export interface WireCount {
  bytes: number;
}

/** Counts the decoded bytes of one coding, and checks them against the limits. */
export class OutputLimit {
  readonly #limits: DecodeLimits;
  readonly #wire: WireCount;
  #used = 0;

  constructor(limits: DecodeLimits, wire: WireCount) {
    this.#limits = limits;
    this.#wire = wire;
  }

  /** How many bytes of output are allowed at the moment, in total. */
  get allowedBytes(): number {
    const byRatio = this.#wire.bytes * (this.#limits.maxRatio ?? DEFAULT_MAX_RATIO);
    return Math.min(this.#limits.maxBytes, Math.max(ANY_RATIO_BYTES, byRatio));
  }

  /** Counts decoded bytes. Returns a code if there are too many. */
  use(bytes: number): "too_large" | "ratio" | undefined {
    this.#used += bytes;
    return this.#used > this.allowedBytes ? this.excess : undefined;
  }

  /** The limit that more bytes would exceed. */
  get excess(): "too_large" | "ratio" {
    return this.allowedBytes === this.#limits.maxBytes ? "too_large" : "ratio";
  }
}
