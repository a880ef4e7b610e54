/** Longest text of a failure, in characters. */
const MAX_CHARACTERS = 500;
/** What is looked at of one message: more than is told, so that a URL's password is not cut in half. */
const MAX_READ_CHARACTERS = 4_000;
/** Errors that are told of a chain of causes: a library wraps an error two or three times. */
const MAX_LINKS = 5;

/**
 * The message of what was thrown, on one line of at most 500 characters, with the messages of its causes behind it:
 * `fetch failed: getaddrinfo ENOTFOUND keys.example`. Control characters are escaped, and the user and password of a
 * URL are left out.
 *
 * The message may quote what the code worked on. So this is for code that handles no traffic, such as `setup`, and for
 * people who sent the traffic themselves.
 */
export function failureText(cause: unknown): string {
  const texts: string[] = [];
  for (const link of linksOf(cause)) {
    const text = ownText(link);
    // A wrapper often repeats the message of its cause.
    if (text !== "" && !texts.some((before) => before.includes(text))) texts.push(text);
  }
  return bounded(escaped(withoutPassword(texts.join(": "))));
}

/**
 * The code of what was thrown, such as `ENOTFOUND` or `ERR_INVALID_URL`: its own, or else that of the first of its
 * causes that has one. Undefined if there is no code, or if it does not look like a code.
 */
export function failureCode(cause: unknown): string | number | undefined {
  for (const link of linksOf(cause)) {
    const code = read(link, "code");
    if (Number.isSafeInteger(code)) return code as number;
    if (typeof code === "string" && CODE.test(code)) return code;
  }
  return undefined;
}

/** The name of an Error, such as `TimeoutError`. Undefined if it does not look like a name. */
export function failureName(cause: unknown): string | undefined {
  const name = read(cause, "name");
  return typeof name === "string" && NAME.test(name) ? name : undefined;
}

/** Any code can assign to `code` and `name`: text that has spaces or is long may quote data. */
const CODE = /^[A-Za-z0-9_](?:[A-Za-z0-9_./-]{0,46}[A-Za-z0-9_])?$/;
const NAME = /^[A-Za-z_$][\w$]{0,63}$/;

/** What was thrown, and its causes. Of an AggregateError, such as that of a failed connect, the first error counts. */
function linksOf(cause: unknown): readonly unknown[] {
  const links: unknown[] = [];
  for (let link = cause; link !== undefined && link !== null && links.length < MAX_LINKS; ) {
    if (links.includes(link)) break;
    links.push(link);
    const errors = read(link, "errors");
    link = read(link, "cause") ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return links;
}

function ownText(link: unknown): string {
  if (typeof link === "function") return "a function";
  const text = typeof link === "object" ? read(link, "message") : String(link);
  return typeof text === "string" ? text.slice(0, MAX_READ_CHARACTERS).trim() : "";
}

/** Anything can be thrown, even what throws when it is looked at. */
function read(from: unknown, property: string): unknown {
  if (typeof from !== "object" || from === null) return undefined;
  try {
    return (from as Readonly<Record<string, unknown>>)[property];
  } catch {
    return undefined;
  }
}

function withoutPassword(text: string): string {
  return text.replace(/:\/\/[^/?#\s@]*@/g, "://***@");
}

/** One space for line breaks and other space; control characters and what changes the direction of text as `\u{1b}`. */
function escaped(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

function bounded(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text;
  return `${text.slice(0, MAX_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
