import { bytesToText, toBytes } from "../../wire/header-text.ts";
import { SINGLE_SLOT } from "./single-slot.ts";

/** What a header map belongs to. The rules for names, and the limits, depend on it. */
export type HeaderMapKind = "request" | "response" | "trailers";

/** A header line in a map: lower-case name, exact bytes. */
export type HeaderEntry = readonly [name: string, value: Uint8Array];

/**
 * Headers or trailers as Envoy holds them: in order, pseudo-headers first, names in lower case. In a request `host` is
 * another name of `:authority`.
 */
export class HeaderMap {
  readonly kind: HeaderMapKind;
  #entries: HeaderEntry[] = [];

  constructor(kind: HeaderMapKind, entries: Iterable<readonly [name: string, value: string | Uint8Array]> = []) {
    this.kind = kind;
    for (const [name, value] of entries) this.add(name, toBytes(value));
  }

  /** Every line in order. */
  get entries(): readonly HeaderEntry[] {
    return this.#entries;
  }

  /** Number of lines. */
  get size(): number {
    return this.#entries.length;
  }

  /** Bytes of all names and values. */
  get byteSize(): number {
    let total = 0;
    for (const [name, value] of this.#entries) total += name.length + value.length;
    return total;
  }

  /** The first value as text; undefined if there is none. */
  get(name: string): string | undefined {
    const wanted = this.#nameOf(name);
    const found = this.#entries.find(([candidate]) => candidate === wanted);
    return found && bytesToText(found[1]);
  }

  has(name: string): boolean {
    const wanted = this.#nameOf(name);
    return this.#entries.some(([candidate]) => candidate === wanted);
  }

  /** Adds a value to the existing values. */
  add(name: string, value: Uint8Array): void {
    const key = this.#nameOf(name);
    const index =
      key.startsWith(":") || SINGLE_SLOT[this.kind].has(key)
        ? this.#entries.findIndex(([candidate]) => candidate === key)
        : -1;
    const present = this.#entries[index];
    if (present === undefined) this.#insert(key, value);
    else if (value.length > 0) this.#entries[index] = [key, joined(present[1], value)];
  }

  /** Replaces all values by one. The line moves to the end. */
  set(name: string, value: Uint8Array): void {
    const key = this.#nameOf(name);
    this.remove(key);
    this.#insert(key, value);
  }

  /** Removes every line of that name. */
  remove(name: string): void {
    const wanted = this.#nameOf(name);
    this.#entries = this.#entries.filter(([candidate]) => candidate !== wanted);
  }

  /** A separate map with the same lines. */
  clone(): HeaderMap {
    const copy = new HeaderMap(this.kind);
    copy.#entries = [...this.#entries];
    return copy;
  }

  #insert(name: string, value: Uint8Array): void {
    if (!name.startsWith(":")) {
      this.#entries.push([name, value]);
      return;
    }
    const end = this.#entries.findIndex(([candidate]) => !candidate.startsWith(":"));
    this.#entries.splice(end === -1 ? this.#entries.length : end, 0, [name, value]);
  }

  #nameOf(name: string): string {
    const key = name.toLowerCase();
    return key === "host" && this.kind === "request" ? ":authority" : key;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const value = new Uint8Array(first.length + 1 + second.length);
  value.set(first);
  value[first.length] = 0x2c;
  value.set(second, first.length + 1);
  return value;
}
