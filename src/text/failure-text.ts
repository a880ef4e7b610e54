/** The longest text of a failure, in characters. */
const MAX_CHARACTERS = 500;
/**
 * The number of characters that are read of one message. It is larger, so that the password of a URL is not cut in
 * half.
 */
const MAX_READ_CHARACTERS = 4_000;
/** The number of errors that are shown of a chain of causes. A library wraps an error two or three times. */
const MAX_LINKS = 5;

/**
 * Returns the message of a thrown value, on one line of at most 500 characters, followed by the messages of its causes:
 * `fetch failed: getaddrinfo ENOTFOUND keys.example`. Control characters are escaped, and the user and password of a
 * URL are left out.
 *
 * The message may quote the data of the failed code. So use this only for code that handles no traffic, such as
 * `setup`, and for people who sent the traffic themselves.
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
 * Returns the code of a thrown value, such as `ENOTFOUND` or `ERR_INVALID_URL`. If the value has no code, it returns
 * the code of the first cause that has one. Undefined if there is no code, or if it does not look like a code.
 */
export function failureCode(cause: unknown): string | number | undefined {
  for (const link of linksOf(cause)) {
    const code = read(link, "code");
    if (Number.isSafeInteger(code)) return code as number;
    if (typeof code === "string" && CODE.test(code)) return code;
  }
  return undefined;
}

/** Returns the name of an Error, such as `TimeoutError`. Undefined if it does not look like a name. */
export function failureName(cause: unknown): string | undefined {
  const name = read(cause, "name");
  return typeof name === "string" && NAME.test(name) ? name : undefined;
}

/** Any code can assign to `code` and `name`. A text with spaces, or a long one, may quote data. */
const CODE = /^[A-Za-z0-9_](?:[A-Za-z0-9_./-]{0,46}[A-Za-z0-9_])?$/;
const NAME = /^[A-Za-z_$][\w$]{0,63}$/;

/**
 * Returns a thrown value and its causes. Of an AggregateError, such as that of a failed connect, the first error is
 * used.
 */
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

/** Any value can be thrown, even one that throws when it is read. */
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

/**
 * Replaces line breaks and other white space by one space. Writes control characters, and characters that change the
 * direction of text, in the form `\u{1b}`.
 */
function escaped(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

function bounded(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text;
  return `${text.slice(0, MAX_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
