/** 1: object, 2: array, 3: string, 4: number, 5: `true`, `false` or `null`. */
export type JsonKind = (typeof KIND)[keyof typeof KIND];
export const KIND = { object: 1, array: 2, string: 3, number: 4, literal: 5 } as const;

const NOTHING: never[] = [];
/** Up to this number names are compared with each other, which is faster than a table. */
const FEW = 8;
/** Random, so that a client cannot make values that share a hash. */
const SEED = Math.trunc(Math.random() * 0x1_0000_0000) | 0;

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);

/** A JSON value: one of a text, or one that will be written. */
export class JsonNode {
  readonly kind: JsonKind;
  /** Of a string, a number, and `true`, `false` or `null`. */
  readonly value: string | number | boolean | null;
  /** Members of an object, in order, or elements of an array. */
  readonly items: JsonNode[];
  /** Names of the members. A text may have a name several times. */
  readonly keys: string[];
  /** The offset of each member's name in the text. */
  readonly nameStarts: number[];
  /** The offsets of the value in the text. */
  readonly start: number;
  end: number;
  /** Equal values have the same hash. Numbers are equal if JavaScript cannot distinguish them. */
  hash: number;
  /** As `hash`, but equal values must also have the same digits in their numbers. */
  exact: number;
  #index: Map<string, number> | undefined;

  private constructor(kind: JsonKind, value: JsonNode["value"], start: number) {
    const hasItems = kind === KIND.object || kind === KIND.array;
    this.kind = kind;
    this.value = value;
    this.items = hasItems ? [] : NOTHING;
    this.keys = kind === KIND.object ? [] : NOTHING;
    this.nameStarts = kind === KIND.object ? [] : NOTHING;
    this.start = start;
    this.end = start;
    this.hash = hasItems ? 0 : leafHash(kind, value);
    this.exact = this.hash;
  }

  /** A value that is not a container. */
  static leaf(kind: JsonKind, value: JsonNode["value"], start: number = -1, end: number = start): JsonNode {
    // 0 and -0 are one number in JSON.
    const node = new JsonNode(kind, value === 0 ? 0 : value, start);
    node.end = end;
    return node;
  }

  /** An object or an array without anything in it. Its items are added, and then it is sealed. */
  static container(kind: JsonKind, start: number = -1): JsonNode {
    return new JsonNode(kind, null, start);
  }

  /** The index of each name; of several the last, which is the one that counts. */
  get index(): ReadonlyMap<string, number> {
    if (this.#index === undefined) {
      this.#index = new Map();
      for (let at = 0; at < this.keys.length; at++) this.#index.set(this.keys[at] as string, at);
    }
    return this.#index;
  }

  /** The index of a name, which may be the same as in another object. */
  find(name: string, at: number): number | undefined {
    if (this.keys[at] === name && !this.hasTwins) return at;
    if (this.keys.length > FEW) return this.index.get(name);
    const found = this.keys.lastIndexOf(name);
    return found === -1 ? undefined : found;
  }

  /** True if a name occurs several times. */
  hasTwins = false;

  /** Hashes a container after all its items were added. */
  seal(): void {
    let hash: number = this.kind;
    let exact = hash;
    if (this.kind === KIND.array) {
      for (const item of this.items) {
        hash = mixHash(hash, item.hash);
        exact = mixHash(exact, item.exact);
      }
    } else {
      this.hasTwins = this.#hasTwins();
      for (let at = 0; at < this.items.length; at++) {
        const name = this.keys[at] as string;
        if (this.hasTwins && this.index.get(name) !== at) continue;
        const item = this.items[at] as JsonNode;
        const nameHash = hashString(name);
        // In any order.
        hash = (hash + mixHash(nameHash, item.hash)) | 0;
        exact = (exact + mixHash(nameHash, item.exact)) | 0;
      }
    }
    this.hash = mixHash(hash, this.items.length === 0 ? 0 : 1);
    this.exact = mixHash(exact, this.items.length === 0 ? 0 : 1);
  }

  #hasTwins(): boolean {
    const { keys } = this;
    if (keys.length > FEW) return this.index.size < keys.length;
    for (let at = 1; at < keys.length; at++) if (keys.indexOf(keys[at] as string) < at) return true;
    return false;
  }
}

/** True for equal values. It takes no more room on the stack for those that are nested deep. */
export function equalNodes(one: JsonNode, other: JsonNode): boolean {
  if (one.hash !== other.hash) return false;
  const left = [one];
  const right = [other];
  for (let a = left.pop(), b = right.pop(); a !== undefined && b !== undefined; a = left.pop(), b = right.pop()) {
    if (a.kind !== b.kind || a.value !== b.value) return false;
    if (a.kind === KIND.object) {
      if (countNames(a) !== countNames(b)) return false;
      for (let at = 0; at < a.items.length; at++) {
        const name = a.keys[at] as string;
        if (a.hasTwins && a.index.get(name) !== at) continue;
        const found = b.find(name, at);
        if (found === undefined) return false;
        left.push(a.items[at] as JsonNode);
        right.push(b.items[found] as JsonNode);
      }
    } else if (a.kind === KIND.array) {
      if (a.items.length !== b.items.length) return false;
      for (let at = 0; at < a.items.length; at++) {
        left.push(a.items[at] as JsonNode);
        right.push(b.items[at] as JsonNode);
      }
    }
  }
  return true;
}

function countNames(node: JsonNode): number {
  return node.hasTwins ? node.index.size : node.keys.length;
}

/** A hash of two hashes in this order. */
export function mixHash(first: number, second: number): number {
  const mixed = Math.imul(first ^ (first >>> 15), 0x85eb_ca6b) ^ Math.imul(second + 0x9e37_79b1, 0xc2b2_ae35);
  return Math.imul(mixed ^ (mixed >>> 13), 0x27d4_eb2f) | 0;
}

export function hashString(text: string): number {
  let hash = SEED ^ text.length;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return hash ^ (hash >>> 16);
}

function leafHash(kind: JsonKind, value: JsonNode["value"]): number {
  if (typeof value !== "number") return mixHash(kind, hashString(String(value)));
  float[0] = value;
  return mixHash(mixHash(kind ^ SEED, halves[0] ?? 0), halves[1] ?? 0);
}
