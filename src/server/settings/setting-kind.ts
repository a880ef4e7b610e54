import { PROCESSING_MODES } from "../../protocol/envoy-settings.ts";
import { refuseNameExpression } from "../../text/name-expression.ts";
import { parseListenAddress } from "../listen/listen-address.ts";

/** What a setting may be, so that flags, environment and configuration file are checked by the same rule. */
export type SettingKind =
  /** An address to listen on. */
  | { readonly kind: "address" }
  /** Path of a file. */
  | { readonly kind: "file" }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  /** A whole number. */
  | { readonly kind: "integer"; readonly least: number; readonly most: number }
  /** A number from 0 to 1. */
  | { readonly kind: "share" }
  /** A flag without a value; `true` or `false` elsewhere. */
  | { readonly kind: "switch" }
  /** Names, separated by commas in a flag, and a list of texts in the configuration file; some of these, or any. */
  | { readonly kind: "names"; readonly names: readonly string[] | undefined }
  /** A regular expression in RE2's syntax, for header names. */
  | { readonly kind: "expression" }
  /** Origins of web pages, separated by commas in a flag, and a list of texts in the configuration file. */
  | { readonly kind: "origins" }
  /** Processing modes: JSON in a flag, and a list of maps in the configuration file. */
  | { readonly kind: "modes" };

/** What a value of this kind looks like, to complete "must be". */
export function mustBe(kind: SettingKind): string {
  switch (kind.kind) {
    case "address":
      return 'an address as text, such as ":9002", "127.0.0.1:9002", "unix:/run/ext-proc.sock" or "off"';
    case "file":
      return "the path of a file as text";
    case "choice":
      return `one of ${kind.choices.join(", ")}`;
    case "integer":
      return `a whole number from ${kind.least} to ${kind.most}`;
    case "share":
      return "a number from 0 to 1";
    case "switch":
      return "true or false";
    case "names":
      return kind.names === undefined ? "a list of names" : `a list of ${kind.names.join(", ")}`;
    case "expression":
      return 'an RE2 expression as text, such as "x-internal-.*"';
    case "origins":
      return "a list of origins such as https://console.example";
    case "modes":
      return `a list of maps with ${Object.keys(PROCESSING_MODES).join(", ")}`;
  }
}

/** The value of a text, or what is wrong with the text. */
export type ReadText = { readonly value: unknown } | { readonly problem: string };

/** Reads the text of a flag or of a variable. */
export function readSettingText(kind: SettingKind, text: string): ReadText {
  switch (kind.kind) {
    case "address":
      return readAddress(text);
    case "file":
      return text === "" ? { problem: "needs the path of a file" } : { value: text };
    case "choice":
      return kind.choices.includes(text)
        ? { value: text }
        : { problem: `${JSON.stringify(text)} is none of ${kind.choices.join(", ")}` };
    case "integer":
      return readInteger(text, kind);
    case "share":
      return /^(?:0|1|0?\.\d+|[01]\.0*)$/.test(text)
        ? { value: Number(text) }
        : { problem: `${JSON.stringify(text)} is no number from 0 to 1` };
    case "switch":
      return text === "true" || text === "false"
        ? { value: text === "true" }
        : { problem: `${JSON.stringify(text)} is neither true nor false` };
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
  return typeof address === "string" ? { problem: address } : { value: text };
}

function readExpression(text: string): ReadText {
  const problem = refuseNameExpression(text);
  return problem === undefined ? { value: text } : { problem };
}

function readInteger(text: string, { least, most }: { readonly least: number; readonly most: number }): ReadText {
  const value = Number(text);
  const fits = /^\d+$/.test(text) && value >= least && value <= most;
  return fits ? { value } : { problem: `${JSON.stringify(text)} is no whole number from ${least} to ${most}` };
}

function listItems(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function readNames(text: string, known: readonly string[] | undefined): ReadText {
  const names = listItems(text);
  if (names.includes("")) return { problem: `${JSON.stringify(text)} has an empty name; separate names by commas` };
  const unknown = known && names.find((name) => !known.includes(name));
  return unknown === undefined
    ? { value: names }
    : { problem: `${JSON.stringify(unknown)} is none of ${known?.join(", ")}` };
}

function readOrigins(text: string): ReadText {
  const origins = listItems(text);
  const bad = origins.find((origin) => !isOrigin(origin));
  return bad === undefined
    ? { value: origins }
    : { problem: `${JSON.stringify(bad)} is no origin; write scheme and host, as in https://console.example` };
}

function readModes(text: string): ReadText {
  const example = 'write JSON such as [{"requestBodyMode":"STREAMED"}]';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: `${JSON.stringify(text)} is not JSON; ${example}` };
  }
  if (!Array.isArray(value)) return { problem: `${JSON.stringify(text)} is not a list; ${example}` };
  for (const mode of value) {
    const problem = refuseMode(mode);
    if (problem !== undefined) return { problem: `${JSON.stringify(mode)} ${problem}` };
  }
  return { value };
}

function refuseMode(mode: unknown): string | undefined {
  if (typeof mode !== "object" || mode === null || Array.isArray(mode)) return "is not a JSON object";
  for (const [field, value] of Object.entries(mode)) {
    if (!Object.hasOwn(PROCESSING_MODES, field))
      return `has the unknown field ${JSON.stringify(field)}; there are ${Object.keys(PROCESSING_MODES).join(", ")}`;
    const values: readonly unknown[] = PROCESSING_MODES[field as keyof typeof PROCESSING_MODES];
    if (!values.includes(value)) return `has a wrong ${field}; it must be one of ${values.join(", ")}`;
  }
  return undefined;
}

/** What a browser sends as `Origin`: scheme, host and port, and nothing behind them. */
export function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}
