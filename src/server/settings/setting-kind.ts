import { PROCESSING_MODES } from "../../protocol/envoy-settings.ts";
import { refuseNameExpression } from "../../text/name-expression.ts";
import type { Problem } from "../../text/problem.ts";
import { parseListenAddress } from "../listen/listen-address.ts";

/** The kind of a setting's value. Flags, environment variables and the configuration file follow the same rules. */
export type SettingKind =
  /** An address to listen on. */
  | { readonly kind: "address" }
  /** The path of a file. */
  | { readonly kind: "file" }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  /** A whole number. */
  | { readonly kind: "integer"; readonly least: number; readonly most: number }
  /** A number from 0 to 1. */
  | { readonly kind: "share" }
  /** A flag without a value; `true` or `false` elsewhere. */
  | { readonly kind: "switch" }
  /**
   * Names: with commas in a flag, a list of texts in the configuration file. `names` are the allowed ones; undefined:
   * any.
   */
  | { readonly kind: "names"; readonly names: readonly string[] | undefined }
  /** A regular expression in RE2's syntax, for header names. */
  | { readonly kind: "expression" }
  /** Origins of web pages: with commas in a flag, a list of texts in the configuration file. */
  | { readonly kind: "origins" }
  /** Processing modes: JSON in a flag, and a list of maps in the configuration file. */
  | { readonly kind: "modes" };

/** Describes the values of a kind. The text follows "expected" in an error message. */
export function describeKind(kind: SettingKind): string {
  switch (kind.kind) {
    case "address":
      return 'an address, such as ":9002", "127.0.0.1:9002", "unix:/run/ext-proc.sock" or "off"';
    case "file":
      return "the path of a file";
    case "choice":
      return `one of ${kind.choices.join(", ")}`;
    case "integer":
      return `a whole number from ${kind.least} to ${kind.most}`;
    case "share":
      return "a number from 0 to 1";
    case "switch":
      return "true or false";
    case "names":
      return kind.names === undefined ? "a list of names" : `a list with names from ${kind.names.join(", ")}`;
    case "expression":
      return 'an RE2 expression, such as "x-internal-.*"';
    case "origins":
      return "a list of origins, such as https://console.example";
    case "modes":
      return `a list of maps with ${Object.keys(PROCESSING_MODES).join(", ")}`;
  }
}

/** The value of a text, or why the text is refused. */
export type ReadText = { readonly value: unknown } | Problem;

/** Reads the text of a flag or of a variable. */
export function readSettingText(kind: SettingKind, text: string): ReadText {
  switch (kind.kind) {
    case "address":
      return readAddress(text);
    case "file":
      return text === "" ? unexpected(kind, text) : { value: text };
    case "choice":
      return kind.choices.includes(text) ? { value: text } : unexpected(kind, text);
    case "integer":
      return readInteger(kind, text);
    case "share":
      return /^(?:0|1|0?\.\d+|[01]\.0*)$/.test(text) ? { value: Number(text) } : unexpected(kind, text);
    case "switch":
      return text === "true" || text === "false" ? { value: text === "true" } : unexpected(kind, text);
    case "names":
      return readNames(text, kind.names);
    case "expression":
      return readExpression(text);
    case "origins":
      return readOrigins(text);
    case "modes":
      return readModes(text);
  }
}

function readAddress(text: string): ReadText {
  const address = parseListenAddress(text);
  return "problem" in address ? address : { value: text };
}

function readExpression(text: string): ReadText {
  const problem = refuseNameExpression(text);
  return problem === undefined ? { value: text } : { problem };
}

function readInteger(kind: SettingKind & { readonly kind: "integer" }, text: string): ReadText {
  const value = Number(text);
  const fits = /^\d+$/.test(text) && value >= kind.least && value <= kind.most;
  return fits ? { value } : unexpected(kind, text);
}

function unexpected(kind: SettingKind, text: string): Problem {
  return { problem: `expected ${describeKind(kind)}, got ${JSON.stringify(text)}` };
}

function listItems(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function readNames(text: string, known: readonly string[] | undefined): ReadText {
  const names = listItems(text);
  if (names.includes(""))
    return { problem: `${JSON.stringify(text)} has an empty name; write names with commas between them` };
  const unknown = known && names.find((name) => !known.includes(name));
  return unknown === undefined
    ? { value: names }
    : { problem: `expected names from ${known?.join(", ")}, got ${JSON.stringify(unknown)}` };
}

function readOrigins(text: string): ReadText {
  const origins = listItems(text);
  const bad = origins.find((origin) => !isOrigin(origin));
  return bad === undefined ? { value: origins } : unexpected({ kind: "origins" }, bad);
}

function readModes(text: string): ReadText {
  const example = 'Example: [{"requestBodyMode":"STREAMED"}]';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: `expected JSON, got ${JSON.stringify(text)}. ${example}` };
  }
  if (!Array.isArray(value)) return { problem: `expected a list, got ${JSON.stringify(text)}. ${example}` };
  for (const mode of value) {
    const problem = refuseMode(mode);
    if (problem !== undefined) return { problem: `${problem}, got ${JSON.stringify(mode)}` };
  }
  return { value };
}

function refuseMode(mode: unknown): string | undefined {
  if (typeof mode !== "object" || mode === null || Array.isArray(mode)) return "expected a JSON object";
  for (const [field, value] of Object.entries(mode)) {
    if (!Object.hasOwn(PROCESSING_MODES, field))
      return `expected fields from ${Object.keys(PROCESSING_MODES).join(", ")}`;
    const values: readonly unknown[] = PROCESSING_MODES[field as keyof typeof PROCESSING_MODES];
    if (!values.includes(value)) return `${field}: expected one of ${values.join(", ")}`;
  }
  return undefined;
}

/** True for a text that a browser can send as `Origin`: scheme, host and port, without a path. */
export function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}
