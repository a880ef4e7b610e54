/** Where a sub-command speaks to its user; the only way of `src/` to do so. */
export type Terminal = {
  /** Prints one line of what was asked for, to standard output. */
  out(line: string): void;
  /** Prints one line about what goes on or went wrong, to standard error. */
  error(line: string): void;
  /** Whether a person reads along. Default: no. */
  readonly isTTY?: boolean | undefined;
};
