import { hashString, JsonNode, KIND, mixHash } from "./json-node.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** A double holds any number with this many digits. */
const EXACT_DIGITS = 15;
const EXACT_EXPONENT = 290;

/** The values of a JSON text, with their offsets. */
export interface JsonTextTree {
  readonly root: JsonNode;
  /** True if it has numbers that a double may not hold. */
  readonly isInexact: boolean;
}

/** Reads a text that `JSON.parse` has read. It takes time in proportion to the text, and no stack for its depth. */
export function readJsonText(text: string): JsonTextTree {
  const open: JsonNode[] = [];
  let top: JsonNode | undefined;
  let isInexact = false;
  let at = 0;
  while (true) {
    const unit = text.charCodeAt(at);
    let done: JsonNode;
    if (unit === QUOTE) {
      const start = at;
      at = stringEnd(text, start);
      const value = stringValue(text, start, at);
      if (top?.kind === KIND.object && top.keys.length === top.items.length) {
        top.keys.push(value);
        top.nameStarts.push(start);
        continue;
      }
      done = JsonNode.leaf(KIND.string, value, start, at);
    } else if (unit === COMMA || unit === COLON || isJsonBlank(unit)) {
      at++;
      continue;
    } else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      if (top !== undefined) open.push(top);
      top = JsonNode.container(unit === OPEN_BRACE ? KIND.object : KIND.array, at++);
      continue;
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) {
      done = top as JsonNode;
      done.end = ++at;
      done.seal();
      top = open.pop();
    } else {
      const start = at;
      at = literalEnd(text, start);
      done = literal(text.slice(start, at), start, at);
      isInexact ||= done.exact !== done.hash;
    }
    if (top === undefined) return { root: done, isInexact };
    top.items.push(done);
  }
}

/** The offset after a string that begins at an index, including its quotes. */
export function stringEnd(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let escapes = quote;
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes--;
    if ((quote - escapes) % 2 === 0) return quote + 1;
  }
}

function stringValue(text: string, start: number, end: number): string {
  const content = text.slice(start + 1, end - 1);
  return content.includes("\\") ? (JSON.parse(text.slice(start, end)) as string) : content;
}

function literal(source: string, start: number, end: number): JsonNode {
  switch (source) {
    case "null":
      return JsonNode.leaf(KIND.literal, null, start, end);
    case "true":
    case "false":
      return JsonNode.leaf(KIND.literal, source === "true", start, end);
    default: {
      const node = JsonNode.leaf(KIND.number, Number(source), start, end);
      const isShort = source.length <= EXACT_DIGITS && !source.includes("e") && !source.includes("E");
      const digits = isShort ? undefined : inexactDigits(source);
      if (digits !== undefined) node.exact = mixHash(node.hash, hashString(digits));
      return node;
    }
  }
}

/** The digits of a number that a double may not hold, in the one form that all its spellings have; undefined otherwise. */
function inexactDigits(source: string): string | undefined {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const all = (whole + fraction).replace(/^0+/, "");
  const digits = trimZeros(all);
  if (digits === "") return undefined;
  const scale = Number(exponent) - fraction.length + (all.length - digits.length);
  if (digits.length <= EXACT_DIGITS && Math.abs(scale) + digits.length <= EXACT_EXPONENT) return undefined;
  return `${sign}${digits}e${scale}`;
}

/** Without the zeros at the end. A RegExp would look at every run of zeros again and again. */
function trimZeros(digits: string): string {
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === 0x30) end--;
  return digits.slice(0, end);
}

function literalEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit === COMMA || unit === CLOSE_BRACKET || unit === CLOSE_BRACE || isJsonBlank(unit)) break;
    at++;
  }
  return at;
}

/** True for white space of JSON, RFC 8259 section 2. */
export function isJsonBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}
