import { styleText } from "node:util";
import { printable } from "../../server/log/printable.ts";

/** The style of a line on a terminal. */
export type LineStyle = "bold" | "green" | "red" | "yellow";

/** Options of a printed line. */
export interface Printing {
  /** Used only if the output is a terminal. Default: plain. */
  readonly style?: LineStyle | undefined;
  /** Prints control characters unchanged. Default: they are escaped. */
  readonly isRaw?: boolean | undefined;
}

/** The output of a sub-command. No other code of `src/` prints. */
export type Terminal = {
  /** Prints one line of the result, to standard output. */
  out(line: string, printing?: Printing): void;
  /** Prints one line about progress or an error, to standard error. */
  error(line: string): void;
  /** True if the output is a terminal. Default: false. */
  readonly isTTY?: boolean | undefined;
};

/**
 * The terminal of this process. Lines can quote data of a server, a client, a file or another program, so control
 * characters are printed as `\uXXXX`.
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
