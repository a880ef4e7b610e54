import { utf8MarkLength } from "../../text/charset.ts";
import { checkedBytes, escapedText } from "../../text/escaped-text.ts";
import { writeJson } from "../json/json-merge.ts";
import { parseJson } from "../json/parse-json.ts";
import { joinBytes } from "../owned-bytes.ts";

const LINE_END = /\r\n|\n|\r/;

interface Fields {
  type: string | undefined;
  data: string | undefined;
  id: string | undefined;
  retry: number | undefined;
  readonly comments: string[];
}

/** A block of an event stream. Its fields are read from its bytes at first use. */
export class ServerSentEvent {
  /** All bytes of the event, with the line ends. The bytes of all events in order are the body. */
  readonly raw: Uint8Array<ArrayBuffer>;
  /** True if the event is complete: clients drop an event that the body's end cuts off. */
  readonly complete: boolean;
  readonly #first: boolean;
  #fields: Fields | undefined;

  /** `first`: it may begin with a byte order mark. */
  constructor(
    raw: Uint8Array<ArrayBuffer>,
    { complete, first }: { readonly complete: boolean; readonly first: boolean },
  ) {
    this.raw = raw;
    this.complete = complete;
    this.#first = first;
  }

  /** The name that clients listen for: `event`, or `message` if it has none. */
  get type(): string {
    return this.#read().type || "message";
  }

  /** Its `data` lines joined with LF. Undefined if it has none: clients then get no event. */
  get data(): string | undefined {
    return this.#read().data;
  }

  /** `data` as JSON. Undefined if there is no `data`, if it is not JSON, such as `[DONE]`, or nested deeper than 1,000 levels. */
  get json(): unknown {
    const { data } = this;
    if (data === undefined) return undefined;
    const parsed = parseJson(data);
    return "value" in parsed ? parsed.value : undefined;
  }

  /** The `id` that it sets, which may be empty. Until then the `id` of an earlier event applies. */
  get id(): string | undefined {
    return this.#read().id;
  }

  /** The reconnection time that it sets, in milliseconds. */
  get retryMs(): number | undefined {
    return this.#read().retry;
  }

  /** The texts after the colons of its comment lines. */
  get comments(): readonly string[] {
    return this.#read().comments;
  }

  /**
   * The same event with other data. Unknown fields are omitted, and lines end with LF. A byte order mark and
   * bytes that are not UTF-8 stay as they are.
   */
  withData(data: string): Uint8Array<ArrayBuffer> {
    const { type, id, retry, comments } = this.#read();
    const comment = comments.length === 0 ? undefined : comments.join("\n");
    const event = formatSseEvent({ type, data, id, retryMs: retry, comment });
    return this.#markLength > 0 ? joinBytes([this.raw.slice(0, this.#markLength), event]) : event;
  }

  /**
   * The same event with another value as JSON in its `data`. Parts that did not change keep their source text, as with
   * `replaceJson`.
   *
   * @throws {TypeError} If JSON has no text for the value.
   */
  withJson(value: unknown): Uint8Array<ArrayBuffer> {
    const { data } = this;
    const written = writeJson(value, this.json === undefined ? undefined : data);
    if ("problem" in written) throw new TypeError(written.problem);
    return this.withData(written.text);
  }

  get #markLength(): number {
    return this.#first ? utf8MarkLength(this.raw, 0) : 0;
  }

  #read(): Fields {
    this.#fields ??= readFields(this.raw, this.#first);
    return this.#fields;
  }
}

/** The fields that {@link formatSseEvent} writes; undefined fields are omitted. */
export interface SseEventFields {
  readonly type?: string | undefined;
  readonly data?: string | undefined;
  readonly id?: string | undefined;
  readonly retryMs?: number | undefined;
  readonly comment?: string | undefined;
}

/**
 * Writes an event as clients read it, with LF as line end and an empty line at its end. Each line of `data` and `comment`
 * becomes one line of the event, so CR and CRLF in `data` reach clients as LF.
 *
 * @throws {TypeError} For a line end in `type` or `id`, a NUL in `id`, or a `retryMs` that is not a whole number: the rest
 * would be separate lines, or ignored.
 *
 * @example
 * formatSseEvent({ type: "token", data: "a\nb" }); // "event: token\ndata: a\ndata: b\n\n"
 */
export function formatSseEvent({ type, data, id, retryMs, comment }: SseEventFields): Uint8Array<ArrayBuffer> {
  if (type !== undefined && LINE_END.test(type)) throw new TypeError("type: an event's type has one line");
  if (id !== undefined && /[\r\n\0]/.test(id)) throw new TypeError("id: an event's id has one line, without NUL");
  if (retryMs !== undefined && !(Number.isSafeInteger(retryMs) && retryMs >= 0)) {
    throw new TypeError(`retryMs: ${retryMs} is not a whole number of milliseconds`);
  }
  const lines: string[] = [];
  for (const line of comment?.split(LINE_END) ?? []) lines.push(`: ${line}`);
  if (type !== undefined) lines.push(`event: ${type}`);
  if (id !== undefined) lines.push(`id: ${id}`);
  if (retryMs !== undefined) lines.push(`retry: ${retryMs}`);
  for (const line of data?.split(LINE_END) ?? []) lines.push(`data: ${line}`);
  return checkedBytes(`${lines.join("\n")}\n\n`);
}

function readFields(raw: Uint8Array, first: boolean): Fields {
  const fields: Fields = { type: undefined, data: undefined, id: undefined, retry: undefined, comments: [] };
  const text = escapedText(raw);
  for (const line of (first && text.startsWith("\ufeff") ? text.slice(1) : text).split(LINE_END))
    readLine(line, fields);
  return fields;
}

function readLine(line: string, fields: Fields): void {
  const colon = line.indexOf(":");
  const name = colon === -1 ? line : line.slice(0, colon);
  const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
  if (colon === 0) fields.comments.push(value);
  else if (name === "data") fields.data = fields.data === undefined ? value : `${fields.data}\n${value}`;
  else if (name === "event") fields.type = value;
  else if (name === "id" && !value.includes("\0")) fields.id = value;
  else if (name === "retry" && /^[0-9]+$/.test(value)) fields.retry = Number(value);
}
