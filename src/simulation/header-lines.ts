import type { HeaderValues } from "../protocol/answers/immediate-response.ts";
import type { HeaderLine } from "../simulator/http/http-exchange.ts";

/** Headers by name. An array sends the header once for each value. Names are sent in lower case. */
export type HeaderRecord = Readonly<Record<string, HeaderValues>>;

/**
 * Returns the lines of headers, in the order of the object and of each array.
 *
 * @param where The name of the headers, for messages: `headers`, `response.trailers`.
 * @throws {TypeError} If a value is not text, bytes, or an array of them.
 */
export function headerLines(where: string, headers: HeaderRecord): HeaderLine[] {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    throw new TypeError(`${where}: must be an object of names and values, such as { "x-user": "ada" }`);
  }
  return Object.entries(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value: unknown) => headerLine(where, name, value)),
  );
}

function headerLine(where: string, name: string, value: unknown): HeaderLine {
  if (typeof value === "string" || value instanceof Uint8Array) return [name.toLowerCase(), value];
  const kind = value === null ? "null" : typeof value;
  throw new TypeError(`${where}: "${name}" is ${kind}, must be a string, a Uint8Array, or an array of them`);
}
