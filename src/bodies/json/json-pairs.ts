import { type JsonNode, KIND } from "./json-node.ts";
import { AmbiguousNumber, type JsonSource } from "./json-source.ts";

/** The index of no element of the text. */
export const NONE = -1;

/**
 * Finds the old element of the text for each element of an array: an equal one, or the one that has the most in common with
 * it, or the one at its place between others.
 *
 * @throws {AmbiguousNumber} If elements were removed, and it is unknown which.
 */
export function pairElements(node: JsonNode, from: JsonNode, source: JsonSource): Int32Array {
  return new ElementPairs(node, from, source).find();
}

class ElementPairs {
  readonly #items: readonly JsonNode[];
  readonly #from: readonly JsonNode[];
  readonly #source: JsonSource;
  readonly #pairs: Int32Array;
  readonly #used: Uint8Array;

  constructor(node: JsonNode, from: JsonNode, source: JsonSource) {
    this.#items = node.items;
    this.#from = from.items;
    this.#source = source;
    this.#pairs = new Int32Array(node.items.length).fill(NONE);
    this.#used = new Uint8Array(from.items.length);
  }

  find(): Int32Array {
    const isShorterOrLonger = this.#items.length !== this.#from.length;
    if (isShorterOrLonger) this.#refuseAmbiguous();
    this.#pairEqual();
    if (this.#isLeft) {
      // It matters which is which only if there are numbers that look equal and are not.
      if (!this.#source.isInexact) this.#pairByPlace(hasMuchInCommon);
      if (this.#isLeft) this.#pairClosest();
      if (this.#isLeft) this.#pairByPlace(() => true);
    }
    return this.#pairs;
  }

  get #isLeft(): boolean {
    return this.#pairs.includes(NONE) && this.#used.includes(0);
  }

  #pair(at: number, fromAt: number): void {
    this.#pairs[at] = fromAt;
    this.#used[fromAt] = 1;
  }

  /** Of elements that look equal and are not, the caller must know which are left. */
  #refuseAmbiguous(): void {
    const counts = new Map<number, number>();
    for (const item of this.#items) {
      if (this.#source.isAmbiguous(item)) counts.set(item.hash, (counts.get(item.hash) ?? 0) + 1);
    }
    if (counts.size === 0) return;
    for (const { hash } of this.#from) {
      const count = counts.get(hash);
      if (count !== undefined) counts.set(hash, count - 1);
    }
    for (const left of counts.values()) if (left !== 0) throw new AmbiguousNumber();
  }

  #pairEqual(): void {
    const items = this.#items;
    const from = this.#from;
    let start = 0;
    while (start < items.length && start < from.length && items[start]?.hash === from[start]?.hash)
      this.#pair(start, start++);
    let end = items.length;
    let fromEnd = from.length;
    while (end > start && fromEnd > start && items[end - 1]?.hash === from[fromEnd - 1]?.hash)
      this.#pair(--end, --fromEnd);
    if (start === end || start === fromEnd) return;
    const places = new Map<number, number[]>();
    for (let fromAt = fromEnd - 1; fromAt >= start; fromAt--) {
      const { hash } = from[fromAt] as JsonNode;
      const found = places.get(hash);
      if (found === undefined) places.set(hash, [fromAt]);
      else found.push(fromAt);
    }
    for (let at = start; at < end; at++) {
      const fromAt = places.get((items[at] as JsonNode).hash)?.pop();
      if (fromAt !== undefined) this.#pair(at, fromAt);
    }
  }

  #pairClosest(): void {
    const places = new Map<JsonNode, number>();
    for (const [fromAt, node] of this.#from.entries()) if (this.#used[fromAt] === 0) places.set(node, fromAt);
    for (const [at, item] of this.#items.entries()) {
      if (this.#pairs[at] !== NONE || item.items.length === 0) continue;
      const closest = this.#source.closest(item, places);
      if (closest === undefined) continue;
      this.#pair(at, places.get(closest) ?? NONE);
      places.delete(closest);
    }
  }

  /** If there are as many elements between two others as before, they are the same elements, changed. */
  #pairByPlace(isLikely: (item: JsonNode, from: JsonNode) => boolean): void {
    let fromStart = 0;
    for (let at = 0; at < this.#items.length; at++) {
      const fromAt = this.#pairs[at] ?? NONE;
      if (fromAt !== NONE) {
        fromStart = fromAt + 1;
        continue;
      }
      let end = at;
      while (end < this.#items.length && this.#pairs[end] === NONE) end++;
      const fromEnd = end === this.#items.length ? this.#from.length : (this.#pairs[end] ?? NONE);
      const isFree = fromEnd - fromStart === end - at && !this.#used.subarray(fromStart, fromEnd).includes(1);
      for (let index = at; isFree && index < end; index++) {
        const fromIndex = fromStart + index - at;
        if (isLikely(this.#items[index] as JsonNode, this.#from[fromIndex] as JsonNode)) this.#pair(index, fromIndex);
      }
      at = end - 1;
    }
  }
}

/** True for objects of which more than half of the members are equal. */
function hasMuchInCommon(one: JsonNode, other: JsonNode): boolean {
  if (one.kind !== KIND.object || other.kind !== KIND.object) return false;
  let count = 0;
  for (let at = 0; at < other.keys.length; at++) {
    const found = one.find(other.keys[at] as string, at);
    if (found !== undefined && one.items[found]?.hash === other.items[at]?.hash) count++;
  }
  return count * 2 > other.keys.length;
}
