import { readFileSync, statSync } from "node:fs";
import { CliError, EXIT } from "./usage-error.ts";

/** Largest file of messages or of an exchange, in bytes. */
const MAX_FILE_BYTES = 8 << 20;

/**
 * Reads a file; `-` is standard input.
 *
 * @param where The flag that names the file, for messages, such as `--data`.
 * @throws {CliError} If it cannot be read, or is too large.
 */
export function readBytes(where: string, path: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    if (path !== "-" && statSync(path).size > MAX_FILE_BYTES) throw tooLarge(where, path);
    bytes = readFileSync(path === "-" ? 0 : path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${where}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, EXIT.bad);
  }
  if (bytes.length > MAX_FILE_BYTES) throw tooLarge(where, path);
  return bytes;
}

/**
 * Reads the value of a JSON file, or of a YAML file if its name has such an extension.
 *
 * @throws {CliError} If the file has no such value.
 */
export async function readData(where: string, path: string): Promise<unknown> {
  const text = new TextDecoder().decode(readBytes(where, path));
  try {
    if (!/\.ya?ml$/i.test(path)) return JSON.parse(text);
    return (await import("yaml")).parse(text, { maxAliasCount: 100 });
  } catch (error) {
    const kind = /\.ya?ml$/i.test(path) ? "YAML" : "JSON";
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
    throw new CliError(`${path}: is not ${kind}: ${reason.replace(/:$/, "")}`, EXIT.bad);
  }
}

function tooLarge(where: string, path: string): CliError {
  return new CliError(`${where}: ${path} is larger than the limit of ${MAX_FILE_BYTES} bytes`, EXIT.bad);
}
