import { CliError } from "./usage-error.ts";

/**
 * The port that a flag names.
 *
 * @throws {CliError} If its value is not a port.
 */
export function portOfFlag(flag: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new CliError(`${flag}: ${JSON.stringify(text)} is not a port; write a number from 0 to 65535`);
}
