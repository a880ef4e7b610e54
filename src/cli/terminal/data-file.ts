import { readFileSync, statSync } from "node:fs";
import { CliError, EXIT } from "./usage-error.ts";

/** Largest file of messages or of an exchange, in bytes. */
const MAX_FILE_BYTES = 8 << 20;

/**
 * The bytes of a file; `-` is standard input.
 *
 * @param where What names the file, for messages: `--data`.
 * @throws {CliError} Where it cannot be read, or is too large.
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
 * The value of a file in JSON or, where its name says so, YAML.
 *
 * @throws {CliError} Where there is none.
 */
export async function readData(where: string, path: string): Promise<unknown> {
  const text = new TextDecoder().decode(readBytes(where, path));
  try {
    if (!/\.ya?ml$/i.test(path)) return JSON.parse(text);
    return (await import("yaml")).parse(text, { maxAliasCount: 100 });
  } catch (error) {
    const kind = /\.ya?ml$/i.test(path) ? "YAML" : "JSON";
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
    throw new CliError(`${path}: is no ${kind}: ${reason.replace(/:$/, "")}`, EXIT.bad);
  }
}

function tooLarge(where: string, path: string): CliError {
  return new CliError(`${where}: ${path} is larger than ${MAX_FILE_BYTES} bytes, which is the limit`, EXIT.bad);
}
