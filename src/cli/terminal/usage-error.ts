/** Exit codes of every sub-command. */
export const EXIT = {
  /** It did what was asked. */
  good: 0,
  /** The thing asked about is bad: a processor that does not load, a port in use. */
  bad: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A defect of this program. */
  bug: 70,
} as const;

/** Ends a sub-command with one line for the person who called it. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.usage) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}
