import { CliError } from "./usage-error.ts";

/**
 * Reads a header as curl's `-H` has it, `name: value`. The name is in lower case, and the value has no blanks at its ends.
 *
 * @throws {CliError} If the text is not a header.
 */
export function headerOf(flag: string, text: string): readonly [name: string, value: string] {
  const [, name, value = ""] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*:\s*(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new CliError(`${flag}: ${JSON.stringify(text)} is not a header; write 'name: value'`);
  return [name.toLowerCase(), value.trimEnd()];
}
