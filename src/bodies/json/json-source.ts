import { equalNodes, hashString, type JsonNode, KIND, mixHash } from "./json-node.ts";
import { readJsonText } from "./json-text.ts";

/** If several values share a part of a text, that part does not show where one of them comes from. */
const MAX_OWNERS = 4;
/**
 * A container with many more items than another is not taken for its old value: a comparison would take time in proportion
 * to the larger one, for each small container that shares an item with it.
 */
const MAX_TIMES_AS_MANY = 16;

/** Thrown if a text has a value in several spellings, and it is not clear which one is meant. */
export class AmbiguousNumber extends Error {}

/** Values that are equal to each other. */
interface Equals {
  readonly first: JsonNode;
  /** They have numbers that JavaScript cannot distinguish. */
  differ: boolean;
}

/** A JSON text with an index of its values. */
export class JsonSource {
  readonly text: string;
  readonly root: JsonNode;
  /** True if it has numbers that a double may not hold, so that it matters which one is which. */
  readonly isInexact: boolean;
  #equals: Map<number, Equals> | undefined;
  #owners: Map<number, JsonNode[]> | undefined;

  constructor(text: string) {
    this.text = text;
    const { root, isInexact } = readJsonText(text);
    this.root = root;
    this.isInexact = isInexact;
  }

  /**
   * A value of the text that is equal to another one: a container that is not empty, or a number that a double does not
   * hold exactly.
   *
   * @throws {AmbiguousNumber}
   */
  find(node: JsonNode): JsonNode | undefined {
    if (!this.#isFound(node)) return undefined;
    const equals = this.#allEquals().get(node.hash);
    if (equals === undefined || !equalNodes(node, equals.first)) return undefined;
    if (equals.differ) throw new AmbiguousNumber();
    return node.kind === KIND.number && equals.first.exact === equals.first.hash ? undefined : equals.first;
  }

  /** True for a value that the text has in several spellings that are not the same number. */
  isAmbiguous(node: JsonNode): boolean {
    return this.isInexact && this.#isFound(node) && this.#allEquals().get(node.hash)?.differ === true;
  }

  /**
   * The container of the text that has the most in common with another one, which has no equal. Undefined if there is none,
   * or if several have as much in common. Containers with many times as many items do not count.
   *
   * @param among Containers to choose from. Default: all.
   */
  closest(node: JsonNode, among?: { has(candidate: JsonNode): boolean }): JsonNode | undefined {
    const owners = this.#allOwners();
    const votes = new Map<JsonNode, number>();
    for (const part of partsOf(node)) {
      const sharing = owners.get(part) ?? [];
      if (sharing.length > MAX_OWNERS) continue;
      for (const owner of sharing) {
        if (owner.kind !== node.kind || owner.items.length > MAX_TIMES_AS_MANY * node.items.length) continue;
        if (among?.has(owner) !== false) votes.set(owner, (votes.get(owner) ?? 0) + 1);
      }
    }
    let best: JsonNode | undefined;
    let most = 0;
    for (const [owner, count] of votes) {
      if (count === most) best = undefined;
      if (count <= most) continue;
      best = owner;
      most = count;
    }
    return best;
  }

  #isFound({ kind, items }: JsonNode): boolean {
    return kind === KIND.number ? this.isInexact : items.length > 0;
  }

  #allEquals(): ReadonlyMap<number, Equals> {
    if (this.#equals !== undefined) return this.#equals;
    this.#equals = new Map();
    for (const node of nodesOf(this.root)) {
      if (!this.#isFound(node)) continue;
      const known = this.#equals.get(node.hash);
      if (known === undefined) this.#equals.set(node.hash, { first: node, differ: false });
      else if (known.first.exact !== node.exact) known.differ = true;
    }
    return this.#equals;
  }

  #allOwners(): ReadonlyMap<number, readonly JsonNode[]> {
    if (this.#owners !== undefined) return this.#owners;
    this.#owners = new Map();
    for (const node of nodesOf(this.root)) {
      for (const part of partsOf(node)) {
        const owners = this.#owners.get(part);
        if (owners === undefined) this.#owners.set(part, [node]);
        else if (owners.length <= MAX_OWNERS) owners.push(node);
      }
    }
    return this.#owners;
  }
}

function* nodesOf(root: JsonNode): Generator<JsonNode, void, undefined> {
  const left = [root];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    yield node;
    // The last first, so that they come in the order of the text.
    for (let at = node.items.length - 1; at >= 0; at--) left.push(node.items[at] as JsonNode);
  }
}

/** The hashes of a container's items. */
function partsOf(node: JsonNode): ReadonlySet<number> | readonly number[] {
  if (node.kind === KIND.array) return new Set(node.items.map(({ hash }) => mixHash(1, hash)));
  const parts: number[] = [];
  for (let at = 0; at < node.keys.length; at++) {
    const name = node.keys[at] as string;
    if (node.hasTwins && node.index.get(name) !== at) continue;
    parts.push(mixHash(hashString(name), (node.items[at] as JsonNode).hash));
  }
  return parts;
}
