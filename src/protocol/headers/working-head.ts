import { create } from "@bufbuild/protobuf";
import { type HeaderValue, HeaderValueSchema } from "../../../gen/envoy/config/core/v3/base_pb.js";
import { HeaderIndex } from "../../wire/header-index.ts";
import { valueBytes } from "../../wire/header-text.ts";
import type { HeaderChange } from "./header-mutation.ts";
import { type HeaderFields, hasHeader, hasName } from "./headers.ts";

/**
 * The headers of a direction with the changes made so far, for later processors and for effects that depend on the
 * headers. The copy is made when it is first read, and kept up to date from then on.
 */
export class WorkingHead {
  readonly #original: HeaderFields;
  readonly #changes: readonly HeaderChange[];
  #copy: HeaderValue[] | undefined;
  #applied = 0;

  /** @param changes This list may grow; changes are never removed. */
  constructor(original: HeaderFields, changes: readonly HeaderChange[]) {
    this.#original = original;
    this.#changes = changes;
  }

  /** The current fields: Envoy's own while nothing was changed. */
  get fields(): HeaderFields {
    return this.#changes.length === 0 ? this.#original : this.entries;
  }

  /** The current entries. Do not keep the array: the next change may alter it. */
  get entries(): readonly HeaderValue[] {
    this.#copy ??= [...entriesOf(this.#original)];
    for (; this.#applied < this.#changes.length; this.#applied++) {
      const change = this.#changes[this.#applied];
      if (change) applyChange(this.#copy, change);
    }
    return this.#copy;
  }

  /** True if the header is present now, even with an empty value. `name` is lower-case. */
  has(name: string): boolean {
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const change = this.#changes[at];
      if (change?.name === name) return change.op !== "remove";
    }
    return hasHeader(this.#original, name);
  }

  /**
   * Says which of Envoy's limits the headers exceed now; undefined if they are within them. If Envoy itself sent more
   * than a limit, then its own limit is higher, and the limit is not checked.
   */
  overLimit({ maxHeaders, maxBytes }: HeaderLimits): string | undefined {
    const { count, bytes } = sizeOf(this.#original);
    let mostCount = count;
    let mostBytes = bytes;
    for (const change of this.#changes) {
      if (change.op === "remove") continue;
      mostCount++;
      mostBytes += change.name.length + change.value.length;
    }
    if (mostCount <= maxHeaders && mostBytes <= maxBytes) return undefined;
    const result = sizeOf(this.entries);
    if (count <= maxHeaders && result.count > maxHeaders)
      return `${result.count} headers together with the existing ones, and Envoy accepts ${maxHeaders}`;
    if (bytes <= maxBytes && result.bytes > maxBytes)
      return `${result.bytes} bytes of headers together with the existing ones, and Envoy accepts ${maxBytes}`;
    return undefined;
  }
}

/**
 * The maximum number of headers, including pseudo-headers, and the maximum number of bytes of their names and values.
 */
export interface HeaderLimits {
  readonly maxHeaders: number;
  readonly maxBytes: number;
}

function applyChange(entries: HeaderValue[], change: HeaderChange): void {
  const { name, op } = change;
  if (op === "append") {
    entries.push(entryOf(name, change.value));
    return;
  }
  let kept = 0;
  let replaced = op === "remove";
  for (const entry of entries) {
    if (!hasName(entry, name)) entries[kept++] = entry;
    else if (!replaced && op === "set") {
      entries[kept++] = entryOf(name, change.value);
      replaced = true;
    }
  }
  entries.length = kept;
  if (!replaced && op === "set") entries.push(entryOf(name, change.value));
}

function entryOf(key: string, value: Uint8Array): HeaderValue {
  // Handlers get this copy and may write into it. Only the change itself is sent.
  return create(HeaderValueSchema, { key, rawValue: new Uint8Array(value) });
}

function entriesOf(fields: HeaderFields): readonly HeaderValue[] {
  return fields instanceof HeaderIndex ? fields.toMap().headers : fields;
}

function sizeOf(fields: HeaderFields): { readonly count: number; readonly bytes: number } {
  if (fields instanceof HeaderIndex) return { count: fields.count, bytes: fields.size };
  let bytes = 0;
  for (const entry of fields) bytes += entry.key.length + valueBytes(entry).length;
  return { count: fields.length, bytes };
}
