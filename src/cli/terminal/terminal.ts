import { styleText } from "node:util";
import { printable } from "../../server/log/printable.ts";

/** How a line looks to a person. */
export type LineStyle = "bold" | "green" | "red" | "yellow";

/** How a line is printed. */
export interface Printing {
  /** Ignored unless a person reads along. Default: plain. */
  readonly style?: LineStyle | undefined;
  /** Prints characters that a terminal obeys as they are. Default: they are escaped. */
  readonly isRaw?: boolean | undefined;
}

/** Where a sub-command speaks to its user; the only way of `src/` to do so. */
export type Terminal = {
  /** Prints one line of what was asked for, to standard output. */
  out(line: string, printing?: Printing): void;
  /** Prints one line about what goes on or went wrong, to standard error. */
  error(line: string): void;
  /** Whether a person reads along. Default: no. */
  readonly isTTY?: boolean | undefined;
};

/**
 * The terminal of this process. Lines may quote data of a server, a client, a file or another program, so that characters
 * which a terminal would obey are printed as `\uXXXX`.
 */
export const processTerminal: Terminal = {
  out(line, { style, isRaw = false } = {}) {
    const text = isRaw ? line : printable(line);
    const isStyled = style !== undefined && process.stdout.isTTY === true;
    process.stdout.write(`${isStyled ? styleText(style, text, { validateStream: false }) : text}\n`);
  },
  error: (line) => process.stderr.write(`${printable(line)}\n`),
  isTTY: process.stdout.isTTY,
};
