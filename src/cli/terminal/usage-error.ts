/** Exit codes of every sub-command. */
export const EXIT = {
  /** The command succeeded. */
  good: 0,
  /** Something that the command needs is bad, such as a processor that does not load, or a port in use. */
  bad: 1,
  /** The command line is wrong. */
  usage: 2,
  /** This program has a defect. */
  bug: 70,
} as const;

/** Ends a sub-command with one line for its user. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.usage) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}
