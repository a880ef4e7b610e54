import type { Problem } from "../../text/problem.ts";
import { equalNodes, type JsonNode, KIND } from "./json-node.ts";
import { NONE, pairElements } from "./json-pairs.ts";
import { AmbiguousNumber, JsonSource } from "./json-source.ts";
import { stringEnd } from "./json-text.ts";
import { readJsonValue } from "./json-value.ts";

/** The text of a value, or why it has none, as the end of a sentence. */
export type JsonText = { readonly text: string } | Problem;

const NO_TEXT = "its value cannot be written as JSON";

/**
 * Writes a value as JSON, to replace the text that it was parsed from. Parts that did not change keep their source text:
 * digits that JavaScript does not hold, escapes, white space, the order of members, repeated names. It takes
 * time in proportion to both, and keeps nothing between parsing and writing.
 *
 * @param source The source text. If it is undefined, or not JSON, the value is written as `JSON.stringify` writes it.
 */
export function writeJson(value: unknown, source: string | undefined): JsonText {
  try {
    if (source === undefined) {
      const text: string | undefined = JSON.stringify(value);
      return text === undefined ? { problem: NO_TEXT } : { text };
    }
    const node = readJsonValue(value);
    if (node === undefined) return { problem: NO_TEXT };
    const writer = new JsonWriter(new JsonSource(source));
    return { text: writer.text(node) };
  } catch (cause) {
    if (!(cause instanceof AmbiguousNumber)) return { problem: NO_TEXT };
    const problem =
      "JavaScript cannot distinguish several numbers of the body (more than 15 digits), and which of them is meant cannot " +
      "be known: change the elements at their places, or change the body as text";
    return { problem };
  }
}

/** A value that must still be written, and the value of the text that it replaces. */
interface Unwritten {
  readonly node: JsonNode;
  readonly from: JsonNode | undefined;
}

class JsonWriter {
  readonly source: JsonSource;
  /** The text of the current value, in order. */
  #parts: (string | Unwritten)[] = [];

  constructor(source: JsonSource) {
    this.source = source;
  }

  /** Writes a value that replaces the whole text. It takes no stack for the depth of the value. */
  text(node: JsonNode): string {
    const written: string[] = [];
    const left: (string | Unwritten)[] = [{ node, from: this.source.root }];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      if (typeof next === "string") {
        written.push(next);
        continue;
      }
      this.#parts = [];
      this.#expand(next);
      for (let at = this.#parts.length - 1; at >= 0; at--) left.push(this.#parts[at] as string | Unwritten);
    }
    return written.join("");
  }

  #expand({ node, from }: Unwritten): void {
    const { source } = this;
    const isLike = from?.kind === node.kind && node.kind <= KIND.array;
    const same = from !== undefined && equalNodes(node, from) ? from : isLike ? undefined : source.find(node);
    if (same !== undefined) {
      this.#parts.push(source.text.slice(same.start, same.end));
      return;
    }
    const origin = node.items.length === 0 ? undefined : isLike ? from : source.closest(node);
    if (origin === undefined) this.#writeNew(node);
    else if (node.kind === KIND.array) this.#writeElements(node, origin, pairElements(node, origin, source));
    else this.#writeMembers(node, origin);
  }

  #writeMembers(node: JsonNode, from: JsonNode): void {
    const list = new ItemList(this.source.text, from, this.#parts);
    const isKept = this.#keptNames(node, from);
    for (let fromAt = 0; fromAt < from.keys.length; fromAt++) {
      const name = from.keys[fromAt] as string;
      const at = node.find(name, fromAt);
      const isLast = !from.hasTwins || from.index.get(name) === fromAt;
      if (at === undefined || (!isLast && !isKept(name))) continue;
      list.begin(fromAt);
      this.#parts.push(list.nameOf(fromAt));
      const item = from.items[fromAt] as JsonNode;
      // All members with this name stay unchanged.
      if (isLast) this.#parts.push({ node: node.items[at] as JsonNode, from: item });
      else this.#parts.push(list.textOf(item));
    }
    for (let at = 0; at < node.keys.length; at++) {
      const name = node.keys[at] as string;
      if (from.find(name, at) !== undefined) continue;
      list.begin(NONE);
      this.#parts.push(JSON.stringify(name), list.colon);
      this.#parts.push({ node: node.items[at] as JsonNode, from: undefined });
    }
    list.end();
  }

  /** Of a repeated name all members stay if the last one stays; if not, the new member replaces them all. */
  #keptNames(node: JsonNode, from: JsonNode): (name: string) => boolean {
    const known = new Map<string, boolean>();
    return (name) => {
      let isKept = known.get(name);
      if (isKept === undefined) {
        const at = node.index.get(name) ?? 0;
        const fromAt = from.index.get(name) ?? 0;
        isKept = equalNodes(node.items[at] as JsonNode, from.items[fromAt] as JsonNode);
        known.set(name, isKept);
      }
      return isKept;
    };
  }

  #writeElements(node: JsonNode, from: JsonNode, pairs: Int32Array): void {
    const list = new ItemList(this.source.text, from, this.#parts);
    for (const [at, item] of node.items.entries()) {
      const fromAt = pairs[at] ?? NONE;
      list.begin(fromAt);
      this.#parts.push({ node: item, from: from.items[fromAt] });
    }
    list.end();
  }

  /** Writes a value that replaces none, although its parts may. */
  #writeNew(node: JsonNode): void {
    const { kind, items, value } = node;
    if (kind > KIND.array) {
      this.#parts.push(JSON.stringify(value));
      return;
    }
    const [open, close] = kind === KIND.object ? "{}" : "[]";
    this.#parts.push(open ?? "");
    for (const [at, item] of items.entries()) {
      if (at > 0) this.#parts.push(",");
      if (kind === KIND.object) this.#parts.push(JSON.stringify(node.keys[at]), ":");
      this.#parts.push({ node: item, from: undefined });
    }
    this.#parts.push(close ?? "");
  }
}

/** The items of a container of a text, written again with the white space that is around them. */
class ItemList {
  readonly #text: string;
  readonly #from: JsonNode;
  readonly #parts: (string | Unwritten)[];
  readonly #last: number;
  /** White space between the item that was written last and what follows it. */
  #tail = "";
  #isFirst = true;

  constructor(text: string, from: JsonNode, parts: (string | Unwritten)[]) {
    this.#text = text;
    this.#from = from;
    this.#parts = parts;
    this.#last = from.items.length - 1;
    parts.push(from.kind === KIND.object ? "{" : "[");
  }

  /** Writes the white space before an item. A new item gets the white space of the last one. */
  begin(fromAt: number): void {
    this.#parts.push(this.#tail);
    if (!this.#isFirst) this.#parts.push(",");
    this.#isFirst = false;
    const at = fromAt === NONE ? this.#last : fromAt;
    if (at !== NONE) this.#parts.push(this.#text.slice(this.#separator(at - 1) + 1, this.#startOf(at)));
    this.#tail =
      fromAt === NONE || fromAt === this.#last
        ? ""
        : this.#text.slice(this.#from.items[fromAt]?.end, this.#separator(fromAt));
  }

  end(): void {
    const { items, start, end, kind } = this.#from;
    const close = this.#text.slice(items.at(-1)?.end ?? start + 1, end - 1);
    this.#parts.push(this.#tail, close, kind === KIND.object ? "}" : "]");
  }

  /** The name of a member, and the text between it and the value. */
  nameOf(at: number): string {
    return this.#text.slice(this.#startOf(at), this.#from.items[at]?.start);
  }

  textOf({ start, end }: JsonNode): string {
    return this.#text.slice(start, end);
  }

  /** The text between a name and a value. */
  get colon(): string {
    if (this.#last === NONE) return ":";
    return this.#text.slice(stringEnd(this.#text, this.#startOf(this.#last)), this.#from.items[this.#last]?.start);
  }

  #startOf(at: number): number {
    return this.#from.nameStarts[at] ?? this.#from.items[at]?.start ?? this.#from.start + 1;
  }

  /** The offset of the comma after an item, or of the bracket after the last item. */
  #separator(at: number): number {
    return at === NONE ? this.#from.start : this.#text.indexOf(",", this.#from.items[at]?.end);
  }
}
